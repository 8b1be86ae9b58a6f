#!/usr/bin/env python3
"""Publishes to the clients of all pinfold nodes by adding to their stream in Redis; `pip install redis`.

    python3 examples/publish_by_redis.py redis://127.0.0.1 board://lunch "soup of the day"

The fields of an entry are those of README.md, "Publish without a node". What is added is heard by every node in the
same order, and its id is its offset.
"""

import hashlib
import sys

import redis

STREAM = "mcp:bus"  # `mcp:` is --redis-prefix
# Entries that the stream keeps, about. The nodes trim it too, once a minute.
ENTRIES_MAX = 100_000


def publish(connection, **fields):
    """Returns the entry's id."""
    return connection.xadd(STREAM, fields, maxlen=ENTRIES_MAX, approximate=True)


def principal(issuer, subject):
    """As whom the nodes know somebody: in Redis it names nobody."""
    digest = hashlib.sha256(len(issuer.encode()).to_bytes(8, "big") + issuer.encode() + subject.encode())
    return digest.hexdigest()[:32]


def main():
    url, uri, text = sys.argv[1:4]
    connection = redis.Redis.from_url(url)
    # New contents: whoever subscribed to the resource is told, and every node's board has them.
    print(publish(connection, uri=uri, text=text, mime="text/plain"))
    # Only "it changed", for applications that have their contents elsewhere; and one of the three lists.
    publish(connection, uri="weather://today")
    publish(connection, topic="tools")
    # For one of those who were let in: nobody else is notified. Of a token file's names the issuer is pinfold:tokens.
    publish(connection, topic="tools", principal=principal("https://login.example", "alice"))
    # A message for every session; data that is not JSON is taken as a string.
    publish(connection, all="1", level="info", data="Lunch is served")


if __name__ == "__main__":
    main()
