# One image for every role: `docker run IMAGE syncer`, `consumer`, `api`, `up`, …
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/mozzart
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN /opt/mozzart/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt -r requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY mailcore mailcore
COPY syncer syncer
COPY consumers consumers
COPY api api
COPY webhooks webhooks
COPY cli cli
RUN /opt/mozzart/bin/pip install --no-index --no-build-isolation --no-deps .

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/mozzart --create-home mozzart \
    && install -d -o mozzart -g mozzart /var/lib/mozzart/data /var/lib/mozzart/media
COPY --from=build /opt/mozzart /opt/mozzart
COPY docker/nats-server.conf /etc/mozzart/nats-server.conf
ENV PATH=/opt/mozzart/bin:$PATH PYTHONUNBUFFERED=1 MALLOC_ARENA_MAX=2
USER mozzart
WORKDIR /var/lib/mozzart
VOLUME ["/var/lib/mozzart/data", "/var/lib/mozzart/media"]
ENTRYPOINT ["mozzart"]
CMD ["up"]
