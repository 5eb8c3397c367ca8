"""nginx and Caddy in front of the api, with the configurations of examples/proxy."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.programs import answers, bound_to_us, find_program, free_port, need_program, wait_until

ROOT = Path(__file__).parents[2]
NAME = "mail.example.com"

_CERTIFICATE = f"""req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN={NAME}
-keyout privkey.pem -out fullchain.pem -addext subjectAltName=DNS:{NAME}"""

# What the example leaves to the rest of nginx's configuration.
_NGINX = """\
daemon off;
pid {home}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    include {home}/mozzart.conf;
}}
"""
_CADDY = """\
{
	admin off
	auto_https disable_redirects
}
"""


class Through(http.client.HTTPSConnection):
    """A connection to the proxy on this machine as if its name led there."""

    def __init__(self, port: int, trusted: Path, *, timeout: float) -> None:
        super().__init__(NAME, port, timeout=timeout)
        self._tls = ssl.create_default_context(cafile=str(trusted))

    def connect(self) -> None:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=self.timeout)
        self.sock = self._tls.wrap_socket(plain, server_hostname=NAME)


@dataclass
class Front:
    """`kind` is `nginx` or `caddy`; `upstream` the port of what is behind it. Call `start()`, then `close()`."""

    kind: str
    upstream: int
    port: int = field(default_factory=free_port)
    home: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="mz-front-", dir="/tmp")))
    _process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self.home / "log").read_text()

    def start(self) -> Front:
        program = need_program(self.kind, "nginx-light" if self.kind == "nginx" else "caddy")
        subprocess.run(
            [find_program("openssl", "openssl"), *_CERTIFICATE.split()], cwd=self.home, check=True, capture_output=True
        )
        check, run = self._commands(program)
        checked = subprocess.run(check, env=self._environment, capture_output=True, text=True, timeout=30, check=False)
        assert checked.returncode == 0, checked.stderr
        with (self.home / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*bound_to_us(), *run], env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(lambda: answers(self.port), lambda: f"{self.kind} listens\n{self.log}", within=20)
        return self

    def connect(self, timeout: float = 30) -> Through:
        return Through(self.port, self.home / "fullchain.pem", timeout=timeout)

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            self._process.kill()
            self._process.wait(10)
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "XDG_DATA_HOME": str(self.home)}

    def _commands(self, program: str) -> tuple[list[str], list[str]]:
        """What checks the configuration and what runs it; writes it, the example with this test's ports and paths."""
        if self.kind == "nginx":
            example = self._example("nginx.conf", ("listen 443 ssl http2;", f"listen 127.0.0.1:{self.port} ssl http2;"))
            example = _replace(example, ("listen 80;", f"listen 127.0.0.1:{free_port()};"))
            example = example.replace(f"/etc/letsencrypt/live/{NAME}", str(self.home))
            (self.home / "mozzart.conf").write_text(example)
            (self.home / "nginx.conf").write_text(_NGINX.format(home=self.home))
            run = [program, "-p", str(self.home), "-c", str(self.home / "nginx.conf")]
            return [*run, "-t"], run
        tls = f"tls {self.home}/fullchain.pem {self.home}/privkey.pem"
        example = self._example("Caddyfile", (f"\n{NAME} {{", f"\nhttps://{NAME}:{self.port} {{\n\t{tls}"))
        (self.home / "Caddyfile").write_text(_CADDY + example)
        options = ["--config", str(self.home / "Caddyfile"), "--adapter", "caddyfile"]
        return [program, "validate", *options], [program, "run", *options]

    def _example(self, name: str, change: tuple[str, str]) -> str:
        text = (ROOT / "examples" / "proxy" / name).read_text()
        return _replace(_replace(text, change), ("127.0.0.1:8000", f"127.0.0.1:{self.upstream}"))


def _replace(text: str, change: tuple[str, str]) -> str:
    """The example must have it, once: else the test would run another configuration than it says."""
    old, new = change
    assert text.count(old) == 1, old
    return text.replace(old, new)
