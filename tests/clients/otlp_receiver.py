"""An OpenTelemetry collector as far as the tests need one: takes POST /v1/traces, reads it with the official Python package
opentelemetry-proto, and tells what it was sent.

    otlp_receiver.py PORT

GET /spans: every span that it took, as JSON, with its resource's attributes. GET /requests: how many requests there were, their
headers, and what they were in base64. PUT /mode with `ok`, `503`, `400`, `hang` or `part`: what it answers from now on.
"""

import base64
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

lock = threading.Lock()
spans = []
requests = []
mode = "ok"


def values(attributes):
    return {it.key: getattr(it.value, it.value.WhichOneof("value")) for it in attributes}


def told(span, resource):
    return {
        "traceId": span.trace_id.hex(),
        "spanId": span.span_id.hex(),
        "parentSpanId": span.parent_span_id.hex(),
        "flags": span.flags,
        "name": span.name,
        "kind": Span.SpanKind.Name(span.kind),
        "start": span.start_time_unix_nano,
        "end": span.end_time_unix_nano,
        "attributes": values(span.attributes),
        "status": Status.StatusCode.Name(span.status.code),
        "message": span.status.message,
        "resource": resource,
    }


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self):
        return self.rfile.read(int(self.headers.get("content-length", "0")))

    def answer(self, status, body, kind, fields=()):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        for name, value in fields:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        with lock:
            known = {"/spans": spans, "/requests": requests}[self.path]
            text = json.dumps(known)
        self.answer(200, text.encode(), "application/json")

    def do_PUT(self):
        global mode
        with lock:
            mode = self.body().decode()
        self.answer(200, b"", "text/plain")

    def do_POST(self):
        body = self.body()
        assert self.path == "/v1/traces", self.path
        assert self.headers["content-type"] == "application/x-protobuf"
        request = ExportTraceServiceRequest.FromString(body)
        response = ExportTraceServiceResponse()
        with lock:
            now = mode
            headers = {name.lower(): value for name, value in self.headers.items()}
            requests.append({"headers": headers, "at": time.monotonic(), "body": base64.b64encode(body).decode()})
            if now in ("ok", "part"):
                for of_resource in request.resource_spans:
                    resource = values(of_resource.resource.attributes)
                    for of_scope in of_resource.scope_spans:
                        spans.extend(told(span, resource) for span in of_scope.spans)
        if now == "hang":
            time.sleep(600)
        elif now == "503":
            self.answer(503, b"", "application/x-protobuf", [("retry-after", "2")])
        elif now == "400":
            self.answer(400, b"", "application/x-protobuf")
        else:
            if now == "part":
                response.partial_success.rejected_spans = 1
                response.partial_success.error_message = "one too many"
            self.answer(200, response.SerializeToString(), "application/x-protobuf")

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
server.daemon_threads = True
server.serve_forever()
