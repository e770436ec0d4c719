"""A small client of `mmra serve`. Needs nothing but requests.

    from mmra_client import Client

    mmra = Client("http://127.0.0.1:8080")
    answer = mmra.predict(title="How I built a boat", video="clip.mp4")
    print(answer["popularity"], answer["interval"])
"""

import json
import os
import time
import uuid
from datetime import datetime
from urllib.parse import quote

import requests

__all__ = ["Client", "MmraError", "NotFound", "NotAllowed", "Busy"]
__version__ = "0.1.0"


class MmraError(Exception):
    """The service refused; its own words (RFC 9457) are in the attributes."""

    def __init__(self, status, title, detail=None, code=None, hint=None):
        super().__init__(": ".join(part for part in (title, detail) if part) + (f" ({hint})" if hint else ""))
        self.status, self.title, self.detail, self.code, self.hint = status, title, detail, code, hint


class NotFound(MmraError):
    """There is no such record, address or model (404)."""


class NotAllowed(MmraError):
    """The token is missing, wrong, or not for writing (401, 403)."""


class Busy(MmraError):
    """Still too many requests after all retries (429, 503)."""


_ERRORS = {401: NotAllowed, 403: NotAllowed, 404: NotFound, 429: Busy, 503: Busy}


def _text_of_time(time_or_text):
    if isinstance(time_or_text, datetime):
        if time_or_text.tzinfo is None:
            raise ValueError("a time needs a time zone: datetime(..., tzinfo=timezone.utc)")
        return time_or_text.isoformat()
    return time_or_text


class _Form:
    """multipart/form-data that is read from the clip while it is sent, not held in memory."""

    def __init__(self, fields, video):
        boundary = uuid.uuid4().hex
        self.content_type = f"multipart/form-data; boundary={boundary}"
        head = b""
        for name, value in fields:
            head += (f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n').encode()
        file_name = os.path.basename(os.fspath(video)).replace("\\", "_").replace('"', "_")
        file_name = "".join(c if c >= " " else "_" for c in file_name)
        head += (f'--{boundary}\r\nContent-Disposition: form-data; name="video"; filename="{file_name}"\r\n'
                 "Content-Type: application/octet-stream\r\n\r\n").encode()
        self._head, self._tail = head, f"\r\n--{boundary}--\r\n".encode()
        self._path = video
        self._size = os.path.getsize(video)

    def __len__(self):
        return len(self._head) + self._size + len(self._tail)

    def __iter__(self):
        yield self._head
        with open(self._path, "rb") as clip:
            left = self._size  # what was promised, be the file growing or not
            while left > 0:
                piece = clip.read(min(left, 1 << 16))
                if not piece:
                    raise OSError(f"{self._path} became shorter while it was sent")
                left -= len(piece)
                yield piece
        yield self._tail


class Client:
    """One service. Thread-safe as requests.Session is: use one client a thread.

    `retries`: how often a busy service (429, 503) is asked again, after as long as it says.
    """

    def __init__(self, url="http://127.0.0.1:8080", token=None, timeout=120.0, retries=5):
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._retries = retries
        self._session = requests.Session()
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    # What people ask

    def predict(self, title=None, video=None, *, id=None, context=None, as_of=None, posted_at=None):
        """A clip and/or a title, or a record by its id -> the answer: popularity, interval,
        percentile, instances, parts, distribution, frames."""
        path, kwargs = self._question("/v1/predict", [title] if title is not None else [], video, id,
                                      context, as_of, posted_at)
        return self._json("POST", path, **kwargs)

    def watch(self, title=None, video=None, *, id=None, context=None, as_of=None, posted_at=None):
        """The same as it goes on: yields (event, data), last ("result", answer)."""
        path, kwargs = self._question("/v1/predict", [title] if title is not None else [], video, id,
                                      context, as_of, posted_at)
        kwargs.setdefault("headers", {})["Accept"] = "text/event-stream"
        with self._call("POST", path, stream=True, **kwargs) as response:
            if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
                yield "result", response.json()
                return
            for name, data in _events(response):
                if name == "error":
                    raise _error(data.get("status", 500), data)
                yield name, data
                if name == "result":
                    return
        raise MmraError(500, "The answer was cut off")

    def compare(self, titles, video=None, *, id=None, context=None, as_of=None, posted_at=None):
        """One clip under several titles -> results, pairs, best, verdict."""
        path, kwargs = self._question("/v1/compare", list(titles), video, id, context, as_of, posted_at,
                                      several=True)
        return self._json("POST", path, **kwargs)

    def search(self, text=None, video=None, *, id=None, k=10, as_of=None):
        """The k most similar labelled records."""
        as_of = _text_of_time(as_of)
        if video is not None:
            fields = [("k", k)] + ([("as_of", as_of)] if as_of else [])
            return self._json("POST", "/v1/search", form=_Form(fields, video))["results"]
        return self._json("GET", "/v1/search",
                          params={"text": text, "id": id, "k": k, "as_of": as_of})["results"]

    # The bank

    def videos(self, *, sort="id", order="asc", since=None, until=None, title=None, page=200):
        """All records that fit, page by page as they are asked for."""
        after = None
        while True:
            answer = self._json("GET", "/v1/videos", params={
                "limit": page, "after": after, "sort": sort, "order": order, "q": title,
                "from": _text_of_time(since), "to": _text_of_time(until)})
            yield from answer["videos"]
            after = answer["next"]
            if not after:
                return

    def video(self, id):
        """One record with its captions and context."""
        return self._json("GET", f"/v1/videos/{quote(id, safe='')}")

    def add_video(self, id, title=None, video=None, *, popularity=None, posted_at=None, split=None,
                  context=None):
        """A new record; returns it once it is on the service's disk."""
        record = {"id": id, "title": title, "popularity": popularity,
                  "posted_at": _text_of_time(posted_at), "split": split, "context": context}
        record = {name: value for name, value in record.items() if value is not None}
        if video is None:
            return self._json("POST", "/v1/videos", json=record)
        fields = [(name, json.dumps(value) if name == "context" else value) for name, value in record.items()]
        return self._json("POST", "/v1/videos", form=_Form(fields, video))

    def update_video(self, id, **changes):
        """popularity=, observed_at=, title=, …; returns the record."""
        changes = {name: _text_of_time(value) for name, value in changes.items()}
        return self._json("PATCH", f"/v1/videos/{quote(id, safe='')}", json=changes)

    def delete_video(self, id):
        self._call("DELETE", f"/v1/videos/{quote(id, safe='')}").close()

    # The service

    def model(self):
        """Metrics, calibration and history of the model, and what its bank holds."""
        return self._json("GET", "/v1/model")

    def is_ready(self):
        try:
            return self._session.get(self._url + "/readyz", timeout=self._timeout).ok
        except requests.RequestException:
            return False

    def reload(self):
        """Takes the model that is on the service's disk now."""
        return self._json("POST", "/v1/reload", json={})

    # How

    @staticmethod
    def _question(path, titles, video, id, context, as_of, posted_at, several=False):
        known = {"as_of": _text_of_time(as_of), "posted_at": _text_of_time(posted_at), "context": context}
        known = {name: value for name, value in known.items() if value is not None}
        if video is not None:
            if id is not None:
                raise ValueError("give a clip or the id of a record, not both")
            fields = [("title", title) for title in titles]
            fields += [(name, json.dumps(value) if name == "context" else value) for name, value in known.items()]
            return path, {"form": _Form(fields, video)}
        if id is not None:
            known["id"] = id
        if several:
            known["titles"] = titles
        elif titles:
            known["title"] = titles[0]
        return path, {"json": known}

    def _json(self, method, path, **kwargs):
        with self._call(method, path, **kwargs) as response:
            return response.json()

    def _call(self, method, path, form=None, headers=None, **kwargs):
        headers = dict(headers or {})
        if form is not None:
            headers["Content-Type"] = form.content_type
            headers["Content-Length"] = str(len(form))
        for attempt in range(self._retries + 1):
            response = self._session.request(
                method, self._url + path, headers=headers, timeout=self._timeout,
                data=form, **kwargs)
            if response.ok:
                return response
            wait = response.headers.get("Retry-After", "")
            if response.status_code in (429, 503) and attempt < self._retries and wait.isdigit():
                response.close()
                time.sleep(min(int(wait), 60))
                continue
            try:
                fields = response.json()
            except ValueError:  # a proxy's page
                fields = {}
            response.close()
            raise _error(response.status_code, fields if isinstance(fields, dict) else {})
        raise AssertionError("not reached")


def _error(status, fields):
    kind = _ERRORS.get(status, MmraError)
    return kind(status, fields.get("title") or f"The service answered {status}", fields.get("detail"),
                fields.get("code"), fields.get("hint"))


def _events(response):
    name, data = "message", []
    response.encoding = "utf-8"
    for line in response.iter_lines(decode_unicode=True):
        if line == "":
            if data:
                yield name, json.loads("\n".join(data))
            name, data = "message", []
        elif line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
