#!/usr/bin/env python3
"""Which of some titles suits a clip?

    python3 example.py clip.mp4 "My boat" "How I built a boat in a week" [--url URL] [--token TOKEN]
"""

import argparse
import os

from mmra_client import Client, MmraError


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("clip")
    parser.add_argument("titles", nargs="+")
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--token", default=os.environ.get("MMRA_TOKEN"))
    arguments = parser.parse_args()
    mmra = Client(arguments.url, token=arguments.token)
    try:
        for event, data in mmra.watch(arguments.titles[0], arguments.clip):
            if event == "captions":
                print("It shows:", "; ".join(dict.fromkeys(data["captions"])))
            elif event == "result":
                low, high = data["interval"]["low"], data["interval"]["high"]
                print(f"{arguments.titles[0]}: {data['popularity']:.0f} {data['unit']} "
                      f"({low:.0f} to {high:.0f}), more than {data['percentile']:.0f} % of the bank")
                for instance in data["instances"][:3]:
                    print(f"  like {instance['title']!r}, which has {instance['popularity']:.0f}")
        if len(arguments.titles) > 1:
            print(mmra.compare(arguments.titles, arguments.clip)["verdict"])
    except MmraError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
