"""A TCP proxy that can be told to be slow, to swallow everything, or to cut the line, also right after a given question."""

import socket
import struct
import threading
import time


class Proxy:
    def __init__(self, port, target, marker):
        self.port, self.target, self.marker = port, target, marker
        self.delay_s = 0.0
        self.hole = self.cuts_after_marker = False
        self.lines, self.lock = set(), threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", port), backlog=128)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.connect, args=(client,), daemon=True).start()

    def connect(self, client):
        try:
            server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
        except OSError:
            return client.close()
        server.settimeout(None)
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line = (client, server)
        with self.lock:
            self.lines.add(line)
        threading.Thread(target=self.pump, args=(line, server, client, False), daemon=True).start()
        self.pump(line, client, server, True)

    def pump(self, line, source, sink, asks):
        try:
            while data := source.recv(65536):
                if self.delay_s:
                    time.sleep(self.delay_s)
                while self.hole:
                    time.sleep(0.05)
                sink.sendall(data)
                if asks and self.cuts_after_marker and self.marker in data:
                    # The question is heard; nobody hears the answer.
                    line[0].shutdown(socket.SHUT_RDWR)
                    time.sleep(0.1)
                    break
        except OSError:
            pass
        self.end(line)

    def end(self, line):
        with self.lock:
            self.lines.discard(line)
        for end in line:
            try:
                # A reset, not a polite end.
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    def cut(self):
        with self.lock:
            lines = list(self.lines)
        for line in lines:
            self.end(line)
