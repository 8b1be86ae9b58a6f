"""A list of named checks, run one after the other, told as TAP: the Python side of harness.mjs."""

import json
import sys
import time
import traceback
import urllib.request

import anyio

# For what happens within a second when all is well, on however busy a machine.
CHECK_DEADLINE_S = 180
EVENT_DEADLINE_S = 60


_checks = []


def check(name, when=True, seconds=CHECK_DEADLINE_S):
    """What follows is a check of this name, or it is none here."""

    def take(body):
        if when:
            _checks.append((name, body, seconds))
        return body

    return take


async def run(*arguments):
    """Runs all checks with these arguments, prints TAP; tells whether every check passed."""
    print(f"TAP version 13\n1..{len(_checks)}", flush=True)
    failed = 0
    for number, (name, body, seconds) in enumerate(_checks, 1):
        started = time.monotonic()
        try:
            with anyio.fail_after(seconds):
                await body(*arguments)
            print(f"ok {number} - {name} # {round((time.monotonic() - started) * 1000)} ms", flush=True)
        except Exception:
            failed += 1
            print(f"not ok {number} - {name}")
            for line in traceback.format_exc().splitlines():
                print(f"# {line}")
            sys.stdout.flush()
    return failed == 0


class Journal:
    """Everything that happened, in order, and a way to wait for something that has or has not happened yet."""

    def __init__(self):
        self.entries = []
        self._more = anyio.Event()

    def push(self, entry):
        self.entries.append(entry)
        self._more.set()
        self._more = anyio.Event()

    async def find(self, fits, what, start=0, seconds=EVENT_DEADLINE_S):
        """The first entry from index `start` on that fits."""
        try:
            with anyio.fail_after(seconds):
                while True:
                    more = self._more
                    for entry in self.entries[start:]:
                        if fits(entry):
                            return entry
                    await more.wait()
        except TimeoutError:
            happened = "\n".join(repr(entry)[:300] for entry in self.entries[start:])
            raise AssertionError(f"{what}: nothing within {seconds} s; what happened:\n{happened}") from None

    def since(self, start, fits=lambda entry: True):
        return [entry for entry in self.entries[start:] if fits(entry)]

    def __len__(self):
        return len(self.entries)


async def publish(admin, items):
    """What a program without MCP would do: one POST of a batch to the admin listener; every item must be taken."""

    def post():
        request = urllib.request.Request(
            f"{admin}/publish", json.dumps(items).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=EVENT_DEADLINE_S) as response:
            return json.load(response)

    answers = await anyio.to_thread.run_sync(post)
    assert len(answers) == len(items), f"one answer for each item: {answers}"
    assert all(answer["accepted"] for answer in answers), answers
