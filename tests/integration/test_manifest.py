# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_manifest.py - ManifestFile and AugmentedManifestFile, against json and files.

Expected bytes are made here, by Python's json and plain reads of the served directory."""

import collections
import http.server
import itertools
import json
import re
import subprocess
import threading
import time

import numpy
import pytest
from conftest import clean_env
from test_tls import make_certificate

TEXTS = ["", "plain", 'quo"te', "back\\slash", "tab\tnew\nline", "nul\0nul", "é…€", "😀 pair", "\x7f"]


def cat(penstock, env, *args):
    command = [str(word) for word in (penstock, "cat", *args)]
    return subprocess.run(command, env=clean_env(env), capture_output=True, timeout=60)


def good(done):
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def failed(done, *words):
    text = done.stderr.decode()
    assert done.returncode == 1, text
    for word in words:
        assert word in text, text
    return text


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two buckets of objects, each of which begins with its own name; their bytes by URI."""
    root = tmp_path_factory.mktemp("manifest")
    draw = numpy.random.default_rng(5)
    objects = {}
    for number in range(60):
        bucket = "one" if number % 3 else "two"
        size = [0, 1, 17, 4_000, 300_000][number % 5]
        path = root / bucket / f"dir {number % 2}" / f"é{number:02d}%41"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"<{number:02d}>".encode() * bool(size) + draw.bytes(size))
        objects[f"s3://{bucket}/{path.relative_to(root / bucket)}"] = path.read_bytes()
    return root, objects


def put(root, name, text):
    path = root / "one" / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return f"s3://one/{name}"


def make_manifest(root, objects, name="m.json"):
    keys = [uri[len("s3://one/") :] for uri in objects if uri.startswith("s3://one/")]
    keys = keys[5:] + keys[:3] + keys[:3] + [keys[9]]  # neither sorted nor unique
    uri = put(root, name, json.dumps([{"prefix": "s3://one/"}, *keys]))
    return uri, [objects["s3://one/" + key] for key in keys]


def as_bytes(value, source):
    """What SageMaker's contract delivers for a value that is no reference."""
    return value.encode() if isinstance(value, str) else source.encode()


def make_lines(root, objects, name="a.jsonl", count=60):
    """An augmented manifest, and for each line its three items: class, source-ref, meta."""
    lines, expected = [], []
    uris = list(objects)
    sources = ["1", "-0.50e+3", "true", "null", '{ "a" : [1, {"b": "}"}] }', "[ ]", '{"é":"\\u00e9"}']
    for number in range(count):
        uri, text = uris[number * 7 % len(uris)], f"{number}:{TEXTS[number % len(TEXTS)]}"
        source = sources[number % len(sources)]
        quoted = json.dumps(text, ensure_ascii=number % 2 == 0)
        members = [
            f'"source-ref": {json.dumps(uri)}',
            f'"meta" : {source} ',
            f'"cl\\u0061ss":{quoted}',
            '"unused": {"meta": 7}',
        ]
        lines.append("{" + ", ".join(members[number % 4 :] + members[: number % 4]) + "}")
        parsed = json.loads(lines[-1])
        assert parsed["class"] == text and parsed["source-ref"] == uri
        expected.append([text.encode(), objects[uri], as_bytes(None, source)])
    text = "\r\n".join(lines[:20]) + "\n\n \t\n" + "\n".join(lines[20:])
    return put(root, name, text), expected


def share(units, shard):
    index, count = shard
    return units[index::count]


AUGMENTED = ["--data-type", "augmented-manifest", "--attributes", "class,source-ref,meta"]


@pytest.mark.parametrize("shard", [(0, 1), (1, 3)])
@pytest.mark.parametrize("kind", ["manifest", "augmented", "files"])
@pytest.mark.parametrize("transport", ["direct", "curl"])
def test_golden_bytes(penstock, s3_server, data, kind, shard, transport):
    root, objects = data
    env = s3_server(root).env | {"PENSTOCK_TRANSPORT": transport}
    if kind == "augmented":
        uri, units = make_lines(root, objects)
        options = AUGMENTED
    else:
        uri, units = make_manifest(root, objects)
        units = [[unit] for unit in units]
        options = ["--data-type", "manifest"]
    if kind == "files":
        text = (root / "one/m.json").read_text().replace("s3://one/", f"file://{root}/one/")
        uri = root / "files.json"
        uri.write_text(text)
        env = None
    units = share(units, shard)
    shard_option = ["--shard", f"{shard[0]}/{shard[1]}"]
    for memory in ("16MiB", "64MiB"):
        done = cat(penstock, env, uri, *options, *shard_option, "--memory-limit", memory, "--epochs", "3")
        assert good(done) == b"".join(itertools.chain(*units)) * 3


def cut(stream, expected):
    """The lines of `expected` in the order in which they are in the stream; none twice."""
    order, left = [], dict(enumerate(b"".join(line) for line in expected))
    while stream:
        fits = [n for n, line in left.items() if stream.startswith(line)]
        assert fits, "a line is torn apart, or comes twice"
        found = max(fits, key=lambda n: len(left[n]))
        stream = stream[len(left.pop(found)) :]
        order.append(found)
    return order


@pytest.mark.parametrize("kind", ["manifest", "augmented"])
def test_a_shuffle_keeps_lines_whole_and_is_the_same_on_all_hosts(penstock, s3_server, data, kind):
    root, objects = data
    env = s3_server(root).env
    if kind == "augmented":
        uri, expected = make_lines(root, objects, "s.jsonl")
        options = AUGMENTED
    else:
        names = sorted(uri for uri, body in objects.items() if uri.startswith("s3://one/") and body)
        text = json.dumps([{"prefix": "s3://"}, *(name[len("s3://") :] for name in names)])
        uri, expected = put(root, "s.json", text), [[objects[name]] for name in names]
        options = ["--data-type", "manifest"]
    options = [uri, *options, "--shuffle-seed", "3"]
    one, two = (good(cat(penstock, env, *options, "--epochs", n)) for n in ("1", "2"))
    assert two.startswith(one)
    orders = [cut(one, expected), cut(two[len(one) :], expected)]
    assert orders[0] != orders[1] != sorted(orders[1])
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(len(expected)))
    for epochs, order in (("1", orders[0]),):
        for h in range(3):
            own = good(cat(penstock, env, *options, "--epochs", epochs, "--shard", f"{h}/3"))
            assert cut(own, expected) == order[h::3]
    # In the second epoch lines come to a host that had others before: they are asked for then.
    own = good(cat(penstock, env, *options, "--epochs", "2", "--shard", "2/3"))
    first = b"".join(itertools.chain(*(expected[n] for n in orders[0][2::3])))
    assert own.startswith(first) and cut(own[len(first) :], expected) == orders[1][2::3]


def test_only_values(penstock, data, tmp_path):
    """Nothing to fetch: no request, no end in sight of the fetching, and exact bytes."""
    lines = [json.dumps({"a": "x" * n, "b": n}) for n in (0, 3, 70_000, 2_500_000)]
    path = tmp_path / "v.jsonl"
    path.write_text("\n".join(lines))
    expected = b"".join(b"x" * n + str(n).encode() for n in (0, 3, 70_000, 2_500_000))
    options = ["--data-type", "augmented-manifest", "--attributes", "a,b"]
    assert good(cat(penstock, None, path, *options, "--epochs", "4")) == expected * 4


def test_only_empty_objects(penstock, s3_server, data):
    root, objects = data
    env = s3_server(root).env
    empty = [uri for uri, body in objects.items() if not body][:3]
    uri = put(root, "e.jsonl", "\n".join(json.dumps({"x-ref": name}) for name in empty))
    options = ["--data-type", "augmented-manifest", "--attributes", "x-ref", "--epochs", "3"]
    assert good(cat(penstock, env, uri, *options)) == b""
    uri = put(root, "e.json", json.dumps([{"prefix": "s3://"}, *(name[5:] for name in empty)]))
    done = cat(penstock, env, uri, "--data-type", "manifest", "--epochs", "3")
    failed(done, "is empty", "e.json")


def test_a_missing_object_ends_the_stream_at_its_line(penstock, s3_server, data):
    root, objects = data
    env = s3_server(root).env
    _, expected = make_lines(root, objects, "x.jsonl")
    lines = (root / "one/x.jsonl").read_text().split("\n")
    lines.insert(5, json.dumps({"source-ref": "s3://two/no such", "class": 1, "meta": 2}))
    uri = put(root, "x.jsonl", "\n".join(lines))
    done = cat(penstock, env, uri, *AUGMENTED)
    failed(done, "x.jsonl, line 6", "s3://two/no such", "404")
    assert done.stdout == b"".join(itertools.chain(*expected[:5]))
    done = cat(penstock, env, uri, *AUGMENTED, "--bad-lines", "skip", "--epochs", "2", "--verbose")
    assert done.returncode == 0
    assert done.stdout == b"".join(itertools.chain(*expected)) * 2
    assert b"line 6 is left out" in done.stderr and b"1 lines left out" in done.stderr
    manifest = put(root, "x.json", json.dumps([{"prefix": "s3://one/"}, "x.jsonl", "no/such"]))
    done = cat(penstock, env, manifest, "--data-type", "manifest")
    failed(done, "x.json, element 2", "s3://one/no/such", "404")
    assert done.stdout == (root / "one/x.jsonl").read_bytes()


BAD_LINES = {
    "[1]": "'[' stands where '{' should be",
    '{"a-ref": "s3://one/x", "b": 1': "it ends where",
    '{"a-ref": "s3://one/x"}': 'attribute "b" is missing',
    '{"a-ref": "s3://one/x", "b": NaN}': "where a value should be",
    '{"a-ref": "s3://one/x", "b": 01}': "'1' stands where",
    '{"a-ref": "s3://one/x", "b": "\\ud800"}': "half of a pair",
    '{"a-ref": 7, "b": 1}': 'attribute "a-ref" is a number',
    '{"a-ref": "s3://one", "b": 1}': "names a bucket",
    '{"a-ref": "file:///etc/passwd", "b": 1}': "is no S3 URI",
    '{"a-ref": "s3://one/a\\u0000b", "b": 1}': "NUL",
    '{"a-ref": "s3://one/x", "b": 1} {}': "where the end should be",
}


def test_malformed_lines(penstock, s3_server, data):
    root, objects = data
    env = s3_server(root).env
    name = next(uri for uri, body in objects.items() if body)
    line = json.dumps({"b": "B", "a-ref": name})
    options = ["--data-type", "augmented-manifest", "--attributes", "b,a-ref"]
    for bad, words in BAD_LINES.items():
        done = cat(penstock, env, put(root, "bad.jsonl", f"{line}\n{bad}\n{line}"), *options)
        failed(done, "bad.jsonl, line 2", words)
        assert done.stdout == b""  # found out before anything is delivered
    uri = put(root, "bad.jsonl", "\n".join([line, *BAD_LINES, line]).encode() + b'\n{"b": "\xff"}')
    done = cat(penstock, env, uri, *options, "--bad-lines", "skip", "--verbose")
    assert done.returncode == 0 and done.stdout == (b"B" + objects[name]) * 2
    assert f"{len(BAD_LINES) + 1} lines left out".encode() in done.stderr
    done = cat(penstock, env, put(root, "bad.jsonl", "[]\n{}"), *options, "--bad-lines", "skip")
    failed(done, "is empty")


BAD_MANIFESTS = {
    "": "it ends where '[' should be",
    "[]": "it is empty",
    '["a"]': "does not begin with",
    '[{"prefix": ""}, "a"]': 'no "prefix"',
    '[{"Prefix": "s3://one/"}, "a"]': 'no "prefix"',
    '[{"prefix": "s3://one/"}, "a", 7]': "byte 31 (element 2): an element after the first is not",
    '[{"prefix": "s3://one/"}, "a"': "it ends where ',' or ']' should be",
    '[{"prefix": "s3://one/"}, "a",]': "where a value should be",
    '[{"prefix": "s3://one/"}] x': "where the end should be",
    '[{"prefix": "s3://one"}, ""]': "element 1: 's3://one' names a bucket",
    '[{"prefix": "gs://one/"}, "a"]': "element 1: ",
    '[{"prefix": "/tmp/"}, "a"]': "element 1: '/tmp/a' is no S3 URI",
    '[{"prefix": "s3://one/"}, "' + "k" * 1025 + '"]': "element 1: ",
}


def test_malformed_manifests(penstock, s3_server, data):
    root, _ = data
    env = s3_server(root).env
    for text, words in BAD_MANIFESTS.items():
        done = cat(penstock, env, put(root, "bad.json", text), "--data-type", "manifest")
        failed(done, "bad.json", words)
    failed(cat(penstock, env, "s3://one/none.json", "--data-type", "manifest"), "404", "none.json")
    failed(cat(penstock, env, "/no/such.json", "--data-type", "manifest"), "/no/such.json")


def test_a_manifest_of_more_than_a_gibibyte_is_refused(penstock, s3_server, data):
    root, _ = data
    path = root / "one/huge.json"
    with open(path, "wb") as file:
        file.truncate((1 << 30) + 1)  # it takes no space
    env = s3_server(root).env
    for uri in ("s3://one/huge.json", path):
        done = cat(penstock, env, uri, "--data-type", "manifest")
        failed(done, "huge.json", "more than 1073741824 bytes")
    path.unlink()


def test_options_that_do_not_go_together(penstock, data):
    root, _ = data
    for options, words in (
        (["--data-type", "list"], "data_type"),
        (["--data-type", "augmented-manifest"], "attribute_count is 0"),
        (["--data-type", "augmented-manifest", "--attributes", "a,b,a"], "named twice"),
        (["--data-type", "manifest", "--attributes", "a"], "for augmented manifests"),
        (["--bad-lines", "skip"], "for augmented manifests"),
        (["--bad-lines", "maybe"], "bad_lines"),
        (["--data-type", "augmented-manifest", "--attributes", "a" * 257], "256 characters"),
    ):
        failed(cat(penstock, None, root, *options), words)
    done = cat(penstock, None, root, "--attributes", ",".join("abcdefghijklmnopq"))
    assert done.returncode == 2 and b"1 to 16" in done.stderr
    done = cat(penstock, None, "s3://one", "--data-type", "manifest", "--anonymous")
    failed(done, "names no manifest")


def test_trouble_on_the_way_leaves_no_trace(penstock, s3_server, data):
    root, objects = data
    uri, expected = make_lines(root, objects)
    faults = ["status=503,every=7", "reset=1000,every=5", "cut=2,every=9"]
    env = s3_server(root, *(word for fault in faults for word in ("--fault", fault))).env
    done = cat(penstock, env, uri, *AUGMENTED, "--verbose")
    assert done.returncode == 0 and done.stdout == b"".join(itertools.chain(*expected))
    assert int(re.search(rb"(\d+) retries", done.stderr)[1]) > 0


def test_an_answer_cut_short_is_no_short_manifest(penstock, s3_server, data):
    root, objects = data
    uri, expected = make_lines(root, objects, "cut.jsonl")
    env = s3_server(root, "--fault", "cut=700,key=cut.jsonl,times=2").env
    assert good(cat(penstock, env, uri, *AUGMENTED)) == b"".join(itertools.chain(*expected))
    env = s3_server(root, "--fault", "status=403,code=AccessDenied,key=cut.jsonl").env
    done = cat(penstock, env, uri, *AUGMENTED, "--bad-lines", "skip")
    failed(done, "cut.jsonl", "AccessDenied")


def test_a_model_by_manifest_is_the_same(run_penstock, s3_server, tmp_path):
    draw = numpy.random.default_rng(8)
    (tmp_path / "data/set").mkdir(parents=True)
    for number in range(4):
        rows = draw.normal(size=(300, 5))
        text = "".join(",".join(f"{v:.5f}" for v in row) + "\n" for row in rows)
        (tmp_path / f"data/set/{number}.csv").write_text(text)
    (tmp_path / "data/set.json").write_text(
        json.dumps([{"prefix": "s3://data/set/"}, *(f"{n}.csv" for n in range(4))])
    )
    models = []
    for uri, kind in (("s3://data/set/", "prefix"), ("s3://data/set.json", "manifest")):
        model = tmp_path / kind
        words = ["train", "--algorithm", "linear-learner", "--train", uri, "--data-type", kind]
        words += ["--content-type", "text/csv;label_size=1", "--device", "cpu"]
        words += ["--hp", "predictor_type=regressor", "--hp", "epochs=3", "--shuffle-seed", "1"]
        words += ["--hp", "mini_batch_size=100", "--model-dir", str(model)]
        run_penstock(words, env=s3_server(tmp_path).env).ok()
        models.append((model / "model.safetensors").read_bytes())
    assert models[0] == models[1]


def test_an_object_that_changes_after_it_was_asked_for(penstock, s3_server, data):
    """What is streamed has the entity tag that was told with the size."""
    root, objects = data
    uri, expected = make_lines(root, objects, "c.jsonl")
    env = s3_server(root, "--fault", "changed,key=é03").env
    done = cat(penstock, env, uri, *AUGMENTED)
    failed(done, "é03", "was replaced while it was streamed")
    assert b"".join(itertools.chain(*expected)).startswith(done.stdout)


class Refusing(http.server.BaseHTTPRequestHandler):
    """Objects whose HEAD is refused, as often as the name says, in ways that only GET explains."""

    protocol_version = "HTTP/1.1"
    manifest = b""
    asked = collections.Counter()

    def log_message(self, *_):
        pass

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    def refuse(self, status, code):
        self.answer(status, f"<Error><Code>{code}</Code></Error>".encode())

    def do_HEAD(self):
        self.asked["HEAD " + self.path] += 1
        time.sleep(0.4 if "slow" in self.path else 0)
        status, times = re.search(r"head(\d+)x(\d+)", self.path).groups()
        if self.asked["HEAD " + self.path] <= int(times):
            self.answer(int(status), b"")
        else:
            archive = {"x-amz-storage-class": "GLACIER"} if "archived" in self.path else {}
            if "restored" in self.path:
                archive["x-amz-restore"] = 'ongoing-request="false", expiry-date="..."'
            self.answer(200, self.path.encode(), ETag='"e"', **archive)

    def do_GET(self):
        if self.path.endswith("/m"):
            self.answer(200, self.manifest)
            return
        why = self.headers["Range"] == "bytes=0-0" and "If-Match" not in self.headers
        if why:
            self.asked["why " + self.path] += 1
        code = re.search(r"get(\d+)-(\w+)", self.path)
        if code:
            self.refuse(int(code[1]), code[2])
        elif why:
            self.answer(206, self.path[:1].encode(), Content_Range=f"bytes 0-0/{len(self.path)}")
        else:
            self.answer(200, self.path.encode(), ETag='"e"')


@pytest.fixture
def refusing():
    """refusing(names) -> (environment, what is asked) of a server whose manifest names objects."""
    servers = []

    def start(names):
        lines = "\n".join(json.dumps({"x-ref": f"s3://data/{name}"}) for name in names)
        state = {"manifest": lines.encode(), "asked": collections.Counter()}
        handler = type("Handler", (Refusing,), state)
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        env = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{servers[-1].server_port}"}
        return env, handler.asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


REF = ["s3://data/m", "--data-type", "augmented-manifest", "--attributes", "x-ref", "--anonymous"]


def test_a_head_that_is_refused_is_asked_for_its_reason(penstock, refusing):
    env, asked = refusing(["a-head200x0", "b-head403x1", "c-head503x2", "d-head200x0"])
    names = ["a-head200x0", "b-head403x1", "c-head503x2", "d-head200x0"]
    assert good(cat(penstock, env, *REF)) == b"".join(f"/data/{n}".encode() for n in names)
    assert asked["HEAD /data/c-head503x2"] == 3 and asked["why /data/c-head503x2"] == 0
    assert asked["HEAD /data/b-head403x1"] == 2 and asked["why /data/b-head403x1"] == 1

    names = ["a-head200x0", "b-head400x99-get400-ExpiredToken", "c-head200x0"]
    env, asked = refusing(names)
    done = cat(penstock, env, *REF, "--bad-lines", "skip")  # expired keys are no line's fault
    failed(done, "m, line 2", "ExpiredToken", names[1])
    assert done.stdout == b"/data/a-head200x0"

    names = ["a-head200x0", "b-head403x99-get403-AccessDenied", "c-head200x0"]
    env, asked = refusing(names)
    failed(cat(penstock, env, *REF), "m, line 2", "AccessDenied", names[1])
    skipped = cat(penstock, env, *REF, "--bad-lines", "skip", "--verbose")
    assert skipped.returncode == 0 and b"1 lines left out" in skipped.stderr
    assert skipped.stdout == b"/data/a-head200x0/data/c-head200x0"


def test_archived_objects_cannot_be_read(penstock, refusing):
    names = ["a-head200x0", "archived-head200x0-get403-InvalidObjectState"]
    names += ["archived-restored-head200x0"]
    env, _ = refusing(names)
    failed(cat(penstock, env, *REF), "m, line 2", names[1], "storage class GLACIER", "restore it")
    done = cat(penstock, env, *REF, "--bad-lines", "skip")
    assert good(done) == b"/data/a-head200x0/data/archived-restored-head200x0"


def test_the_earliest_failure_is_told_whichever_comes_first(penstock, refusing):
    env, _ = refusing(["slow-head200x0", "b-head404x99", "c-head404x99"])
    done = cat(penstock, env, *REF)
    failed(done, "m, line 2", "b-head404x99")
    assert done.stdout == b"/data/slow-head200x0"
    env, _ = refusing(["a-head200x0", "slow-head404x99", "c-head404x99"])
    failed(cat(penstock, env, *REF), "m, line 2", "slow-head404x99")


@pytest.mark.parametrize("transport", ["direct", "curl"])
def test_buckets_over_tls(penstock, s3_server, data, tmp_path, transport):
    """Every bucket is a site of its own, with its own TLS, though only one was known at the start."""
    root, objects = data
    key, certificate = make_certificate(tmp_path, "good", "IP:127.0.0.1")
    uri, expected = make_lines(root, objects, "t.jsonl")
    server = s3_server(root, "--tls-key", key, "--tls-cert", certificate, scheme="https")
    env = server.env | {"AWS_CA_BUNDLE": certificate, "PENSTOCK_TRANSPORT": transport}
    assert good(cat(penstock, env, uri, *AUGMENTED)) == b"".join(itertools.chain(*expected))


def test_buckets_are_bounded(penstock, s3_server, data):
    root, _ = data
    lines = [json.dumps({"x-ref": f"s3://bucket-{n}/k"}) for n in range(257)]
    uri = put(root, "many.jsonl", "\n".join(lines))
    options = ["--data-type", "augmented-manifest", "--attributes", "x-ref"]
    done = cat(penstock, s3_server(root).env, uri, *options)
    failed(done, "many.jsonl, line 257", "bucket-256", "256 buckets")
