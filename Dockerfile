# The image of tocsin. Plain instructions only, so that every builder can make it.
#
#   docker build -t tocsin .                                         the core, with uvloop
#   docker build -t tocsin:dashboard --build-arg VARIANT=dashboard . with the dashboard besides
#
# BASE is any image of Debian's family with Python 3.11 or newer. All that is installed stands, with
# its hashes, in container/*.lock; wheels that lie in wheels/ are taken instead of asking an index.

ARG BASE=python:3.13-slim

FROM ${BASE} AS build
ARG VARIANT=core
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY container/*.lock wheels* wheels/
RUN if ls wheels/*.whl >/dev/null 2>&1; then export PIP_NO_INDEX=1 PIP_FIND_LINKS=wheels; fi \
 && python3 -m venv /opt/build \
 && /opt/build/bin/pip install -q --require-hashes -r wheels/build.lock \
 && python3 -m venv --without-pip /opt/tocsin \
 && /opt/build/bin/pip --python /opt/tocsin/bin/python install -q --require-hashes \
    --only-binary :all: -r "wheels/${VARIANT}.lock"
COPY . .
RUN /opt/build/bin/pip wheel -q --no-deps --no-build-isolation --no-index -w /tmp/wheel . \
 && /opt/build/bin/pip --python /opt/tocsin/bin/python install -q --no-deps --no-index /tmp/wheel/*.whl

FROM ${BASE}
LABEL org.opencontainers.image.title="tocsin" \
      org.opencontainers.image.description="An alarm bell for container stacks" \
      org.opencontainers.image.licenses="MIT"
RUN echo 'tocsin:x:10001:10001::/var/lib/tocsin:/usr/sbin/nologin' >>/etc/passwd \
 && echo 'tocsin:x:10001:' >>/etc/group \
 && install -d -o tocsin -g tocsin -m 0700 /var/lib/tocsin \
 && install -d -o tocsin -g tocsin -m 0750 /var/log/tocsin
COPY --from=build /opt/tocsin /opt/tocsin
COPY container/healthy.py /opt/tocsin/healthy.py
COPY container/tocsin /usr/local/bin/tocsin
ENV TOCSIN_UID=10001 TOCSIN_GID=10001 HOME=/var/lib/tocsin PYTHONUNBUFFERED=1 \
    TOCSIN_DATA_DIR=/var/lib/tocsin TOCSIN_SECRETS=/run/secrets \
    TOCSIN_API_HOST=0.0.0.0 TOCSIN_API_PORT=8095
WORKDIR /var/lib/tocsin
# Slim images have their standard library in text alone, and what runs here cannot write: what tocsin
# imports of it is compiled now, not at each start: by these, which import what all commands do.
# A plugin that lacks a package ends the build.
RUN /opt/tocsin/bin/tocsin plugins \
 && for command in run replay doctor; do /opt/tocsin/bin/tocsin $command --help >/dev/null || exit 1; done
USER tocsin
EXPOSE 8095
HEALTHCHECK --interval=30s --timeout=10s --retries=3 --start-period=20s \
    CMD ["/opt/tocsin/bin/python", "-IS", "/opt/tocsin/healthy.py"]
ENTRYPOINT ["tocsin"]
CMD ["run"]
