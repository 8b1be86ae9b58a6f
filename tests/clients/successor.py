"""What pretends to be a new process of the program, and breaks off: python successor.py STAGE HOW

It speaks the channel's messages (src/handover/words.rs, MessagePack) up to STAGE (hello, prepared, taken, ready or go), and then, in the
place of what would be said there: HOW is hang, exit, or a sentence with which it refuses.
"""

import os
import signal
import socket
import struct
import sys

STAGE, HOW = sys.argv[1:3]

channel = socket.socket(fileno=0)


def text(value):
    value = value.encode()
    return b"\xda" + struct.pack(">H", len(value)) + value


def say(stage, message):
    if stage != STAGE:
        channel.send(message)
        return
    if HOW == "hang":
        signal.pause()
    if HOW != "exit":
        channel.send(b"\x81" + text("Refused") + b"\x81" + text("why") + text(HOW))
        signal.pause()
    os._exit(3)


def hear(name):
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, 65536, 250)
        for descriptor in descriptors:
            os.close(descriptor)
        if not message:
            sys.exit("the old process is gone")
        if name in message:
            return
        if b"Part" in message:
            say("taken", text("Taken"))


say("hello", b"\x81" + text("Hello") + b"\x83" + text("format") + b"\x01" + text("reads_from") + b"\x01" + text("version") + text("9.9.9"))
hear(b"Listening")
say("prepared", text("Prepared"))
hear(b"Sealed")
say("ready", text("Ready"))
hear(b"Go")
say("go", text("Serving"))
