# syntax=docker/dockerfile:1

# docker build -t reconciler .
# docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/catalog" -e MINDCRAFT_API_KEY reconciler plan

FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY examples examples
COPY reconciler reconciler
RUN python -m venv /opt/reconciler \
    && /opt/reconciler/bin/pip install --no-cache-dir --disable-pip-version-check .

FROM python:3.13-slim
LABEL org.opencontainers.image.title="reconciler" \
      org.opencontainers.image.description="Infrastructure-as-code for AI personas" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --uid 10001 --user-group --create-home reconciler
COPY --from=build /opt/reconciler /opt/reconciler
ENV PATH="/opt/reconciler/bin:$PATH" \
    PYTHONDONTWRITEBYTECODE=1
# A numeric user, so that a cluster that requires a non-root user can check it.
USER 10001:10001
WORKDIR /catalog
ENTRYPOINT ["reconciler"]
CMD ["--help"]
