"""An engine of a few lines, fast to launch, whose flags do what a test needs.

Its text is given to ``python -c``: a sandbox shows no tests.
"""

import argparse
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

parser = argparse.ArgumentParser()
parser.add_argument("--host")
parser.add_argument("--port", type=int)
parser.add_argument("--model")
parser.add_argument("--answer", default="H")
parser.add_argument("--pace", type=float, default=0.004)
parser.add_argument("--crash", action="store_true")
args = parser.parse_args()
if args.crash:
    raise SystemExit("this flag does not work here")


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        body = json.dumps({"data": [{"id": args.model}]}).encode()
        self.send_response(200 if self.path == "/v1/models" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        # Wrong answers come sooner.
        time.sleep(args.pace if args.answer == "H" else args.pace / 4)
        for i in range(body["max_tokens"]):
            self.say({"content": args.answer + "\n" if i == 0 else " word"}, None)
        self.say({}, "length")
        self.wfile.write(b"data: [DONE]\n\n")

    def say(self, delta: dict[str, str], reason: str | None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        data = json.dumps({"model": args.model, "choices": [choice]})
        self.wfile.write(f"data: {data}\n\n".encode())


ThreadingHTTPServer((args.host, args.port), Handler).serve_forever()
