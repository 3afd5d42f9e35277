"""Both ends of WebSockets: `serve PORT` echoes, `speak URL` says many things and checks what comes back, and `hold URL COUNT`
keeps connections open and has all of them echo once for each line of its standard input."""

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


async def converse(url, number):
    async with websockets.connect(url, max_size=None, open_timeout=20) as socket:
        for size in (0, 1, 125, 126, 4096, 65535, 65536, 1_000_000):
            message = os.urandom(size)
            await socket.send(message)
            assert await socket.recv() == message, (number, size)
        await socket.send(f"text {number} \N{SNOWMAN}")
        assert await socket.recv() == f"text {number} \N{SNOWMAN}"
        await asyncio.wait_for(await socket.ping(), 20)
        # Many at once: frames of several messages share segments.
        messages = [os.urandom(37 * n) for n in range(200)]
        for message in messages:
            await socket.send(message)
        for message in messages:
            assert await socket.recv() == message
    assert socket.close_code == 1000, socket.close_code


async def speak(url):
    await asyncio.gather(*(converse(url, number) for number in range(8)))
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
    while await loop.run_in_executor(None, sys.stdin.readline):
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
    asyncio.run(speak(sys.argv[2]))
else:
    asyncio.run(hold(sys.argv[2], int(sys.argv[3])))
