"""Becomes the Milvus server of the Python package `milvus` (on sys.path): scripts/milvus.sh.

    milvus_server.py FOLDER PORT MANAGEMENT

The package has a program of its own, which is not used: it tries each port by binding it without SO_REUSEADDR, takes
the next one where a server that ended a minute ago left connections in TIME_WAIT, and then waits for its own etcd on
another port than that of etcd; and it kills the server a second after having asked it to end. Every other port of the
server is derived from PORT, so that two of them run beside each other.
"""

import os
import sys

import milvus


def main():
    folder, port, management = os.path.abspath(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    config = milvus.MilvusServerConfig(data_dir=folder)
    config.resolve_storage()
    own = {"proxy_port": port, "etcd_port": port + 10_000}
    others = sorted(key for key in config.configurable_items if key.endswith("_port") and key not in own)
    own.update({key: port + 10_002 + number for number, key in enumerate(others)})
    for key, value in own.items():
        config.set(key, value)
    config.write_config()
    milvus._initialize_data_files(folder)  # pylint: disable=protected-access

    etcd = os.path.join(folder, "configs", "etcd.yaml")
    client, peer = (f"http://127.0.0.1:{own['etcd_port'] + offset}" for offset in (0, 1))
    with open(etcd, "w", encoding="utf-8") as file:
        file.write(f"name: default\nlisten-client-urls: {client}\nadvertise-client-urls: {client}\n"
                   f"listen-peer-urls: {peer}\ninitial-advertise-peer-urls: {peer}\n"
                   f"initial-cluster: default={peer}\n")
    binaries = os.path.join(folder, "bin")
    environment = dict(os.environ, DEPLOY_MODE="STANDALONE", METRICS_PORT=str(management),
                       MILVUS_RUN_DIR=os.path.join(folder, "run"), ETCD_CONFIG_PATH=etcd,
                       # How long a server that was killed counts as one that lives [30].
                       COMMON_SESSION_TTL=os.environ.get("COMMON_SESSION_TTL", "5"),
                       LD_LIBRARY_PATH=binaries + ":" + os.environ.get("LD_LIBRARY_PATH", ""))
    os.chdir(folder)
    log = os.open(os.path.join(folder, "logs", "milvus.log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.execve(os.path.join(binaries, "milvus"), ["milvus", "run", "standalone"], environment)


if __name__ == "__main__":
    main()
