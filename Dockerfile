# One image for every role: `docker run IMAGE syncer`, `consumer`, `api`, `up`, …
ARG PYTHON=python:3.11.14-slim-bookworm

FROM ${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv /opt/mozzart
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN /opt/mozzart/bin/pip install --require-hashes -r requirements/build.txt -r requirements/runtime.txt
# .dockerignore lets in the packages and what describes them.
COPY . .
# What only installing needed stays out of the image.
RUN /opt/mozzart/bin/pip install --no-index --no-build-isolation --no-deps . \
    && /opt/mozzart/bin/pip uninstall --yes --quiet setuptools \
    && /opt/mozzart/bin/pip uninstall --yes --quiet pip

FROM ${PYTHON}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Mozzart Mailbox Sync" \
      org.opencontainers.image.description="Mail out of IMAP mailboxes into NATS JetStream, a database and files" \
      org.opencontainers.image.licenses="GPL-3.0-or-later" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# A new volume takes owner and mode of the directory that it is mounted on: nothing needs root to start.
# /nats and /secrets/… are there for that alone.
RUN groupadd --system --gid 10001 mozzart \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin mozzart \
    && install -d -o mozzart -g mozzart -m 0700 /data /media /nats /secrets /secrets/keys /secrets/nats \
       /secrets/syncer /secrets/consumer /secrets/api /secrets/webhook /secrets/tools \
    && install -d -o mozzart -g mozzart -m 0755 /secrets/postgres
COPY --from=build /opt/mozzart /opt/mozzart
ENV PATH=/opt/mozzart/bin:$PATH \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MALLOC_ARENA_MAX=2 \
    DATA_DIR=/data MEDIA_ROOT=/media
USER 10001:10001
WORKDIR /
VOLUME ["/data", "/media"]
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["mozzart-healthcheck"]
ENTRYPOINT ["mozzart"]
CMD ["up"]
