"""Connections without TLS on this side, with it on the other: OpenSSL's TLS for clients that have none.

Arguments: the address and port to connect to, the name to ask for, the authority's certificate, the only version to speak (1.2
or 1.3), and a file with a certificate to show and its key, if there is one. Prints the port that it listens on.
"""

import asyncio
import ssl
import sys

ADDRESS, PORT, NAME, AUTHORITY, VERSION = sys.argv[1:6]

context = ssl.create_default_context(cafile=AUTHORITY)
version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[VERSION]
context.minimum_version = context.maximum_version = version
for identity in sys.argv[6:]:
    context.load_cert_chain(identity)


async def pump(reader, writer):
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def serve(near_reader, near_writer):
    try:
        far_reader, far_writer = await asyncio.open_connection(ADDRESS, int(PORT), ssl=context, server_hostname=NAME)
    except OSError as error:
        print(error, file=sys.stderr, flush=True)
        near_writer.close()
        return
    await asyncio.gather(pump(near_reader, far_writer), pump(far_reader, near_writer))


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
