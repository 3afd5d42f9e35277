"""Both ends of WebSockets: `serve PORT` echoes, `speak URL deflate|none` says many things and checks what comes back, and `hold
URL COUNT` keeps connections open and has all of them echo once for each line `echo` of its standard input; at a line `wait` it
waits until they are closed, and tells with which codes."""

import asyncio
import os
import sys

import websockets


async def echo(socket):
    async for message in socket:
        await socket.send(message)


async def serve(port):
    async with websockets.serve(echo, "127.0.0.1", port, max_size=None):
        await asyncio.Future()


async def converse(url, number, compression):
    async with websockets.connect(url, max_size=None, open_timeout=20, compression=compression) as socket:
        agreed = [extension.name for extension in socket.extensions]
        assert agreed == (["permessage-deflate"] if compression else []), agreed
        for size in (0, 1, 125, 126, 4096, 65535, 65536, 1_000_000):
            message = os.urandom(size)
            await socket.send(message)
            assert await socket.recv() == message, (number, size)
        await socket.send(f"text {number} \N{SNOWMAN}")
        assert await socket.recv() == f"text {number} \N{SNOWMAN}"
        await asyncio.wait_for(await socket.ping(), 20)
        # Fragments, which cut characters; a ping may come between them.
        for pieces in (["a", "b" * 70_000, "", "c"], [b"1", b"2" * 126, b"3" * 65536], ["\N{SNOWMAN}" * 5_000] * 3):
            await socket.send(pieces)
            assert await socket.recv() == type(pieces[0])().join(pieces), number
        # Many at once: frames of several messages share segments.
        messages = [os.urandom(37 * n) for n in range(200)]
        for message in messages:
            await socket.send(message)
        for message in messages:
            assert await socket.recv() == message
    assert socket.close_code == 1000, socket.close_code


async def speak(url, compression):
    await asyncio.gather(*(converse(url, number, compression) for number in range(8)))
    print("done")


async def echo_once(socket, size):
    message = os.urandom(size)
    await socket.send(message)
    assert await asyncio.wait_for(socket.recv(), 20) == message, size


async def hold(url, count):
    sockets = [await websockets.connect(url, open_timeout=20) for _ in range(count)]
    print("open", flush=True)
    loop = asyncio.get_running_loop()
    # The loop goes on meanwhile, and with it pings and pongs.
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        if line == "wait\n":
            await asyncio.wait_for(asyncio.gather(*(socket.wait_closed() for socket in sockets)), 20)
            print(f"closed with {sorted({socket.close_code for socket in sockets})}", flush=True)
            return
        # Short, with 16 bits of length, and with 64.
        for size in (5, 126, 70_000):
            await asyncio.gather(*(echo_once(socket, size) for socket in sockets))
        print("echoed", flush=True)
    for socket in sockets:
        await socket.close()
        assert socket.close_code == 1000, socket.close_code
    print("closed", flush=True)


if sys.argv[1] == "serve":
    asyncio.run(serve(int(sys.argv[2])))
elif sys.argv[1] == "speak":
    asyncio.run(speak(sys.argv[2], None if sys.argv[3] == "none" else sys.argv[3]))
else:
    asyncio.run(hold(sys.argv[2], int(sys.argv[3])))
