# docker build -t reconciler .
# docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/catalog" -e MINDCRAFT_API_KEY reconciler plan
# `reconciler operator` runs in it, too: deploy/kubernetes, deploy/helm.

# A tag can be moved. To build on what you have looked at, add its digest, which `docker buildx imagetools inspect
# python:3.13-slim` prints: docker build --build-arg BASE=python:3.13-slim@sha256:… -t reconciler .
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /src
COPY requirements requirements
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ONLY_BINARY=:all:
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --requirement requirements/build.txt \
    && python -m venv /opt/reconciler \
    && /opt/reconciler/bin/pip install --require-hashes --requirement requirements/image.txt
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY examples examples
COPY reconciler reconciler
RUN /opt/build/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheel . \
    && /opt/reconciler/bin/pip install --no-index --no-deps /wheel/*.whl

FROM ${BASE}
LABEL org.opencontainers.image.title="reconciler" \
      org.opencontainers.image.description="Infrastructure-as-code for AI personas" \
      org.opencontainers.image.licenses="MIT"
# For catalogs in git, which `reconciler watch --git` and the operator fetch, also over SSH.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && install --directory --owner=65534 --group=65534 --mode=0700 /var/lib/reconciler
COPY --from=build /opt/reconciler /opt/reconciler
ENV PATH="/opt/reconciler/bin:$PATH" \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
# A watcher answers at RECONCILER_LISTEN. A container without it serves nothing, and counts as healthy. Without -I, Python
# would run a file of the catalog that is called like a module, since the catalog is in the current folder.
HEALTHCHECK --interval=30s --timeout=20s --start-period=20s --retries=3 \
    CMD ["/opt/reconciler/bin/python", "-I", "-m", "reconciler.web.health"]
# Nobody, by number, so that a cluster that requires a non-root user can check it.
USER 65534:65534
WORKDIR /catalog
ENTRYPOINT ["reconciler"]
CMD ["--help"]
