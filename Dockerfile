# The one image of Shop Pulse: worker, read service, canary, generator and all other commands.
#
# It runs what CI has tested: requirements-runtime.lock and requirements-build.lock hold the versions and hashes
# of requirements.lock, and nothing is compiled. The base's digest is of its index for all architectures.

FROM python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# Before the code: these layers change only with the locks.
COPY requirements-build.lock requirements-runtime.lock ./
RUN python -m pip install --require-hashes --only-binary :all: --requirement requirements-build.lock \
    && python -m venv --without-pip /srv/shop-pulse \
    && python -m pip --python /srv/shop-pulse/bin/python install --require-hashes --only-binary :all: \
        --requirement requirements-runtime.lock
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY streams streams
COPY verify verify
COPY dashboards dashboards
COPY backtest backtest
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir wheels . \
    && python -m pip --python /srv/shop-pulse/bin/python install --no-deps --no-index wheels/*.whl

FROM python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d
COPY --from=build /srv/shop-pulse /srv/shop-pulse
# Nobody of the base's users, without a home and a shell; it owns nothing of what it runs.
RUN useradd --system --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin pulse
USER 10001:10001
ENV PATH=/srv/shop-pulse/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
EXPOSE 8080
# Without a shell between: SIGTERM reaches the process itself, which writes what it holds and ends.
ENTRYPOINT ["shop-pulse"]
CMD ["serve"]
STOPSIGNAL SIGTERM
# Of the read service. Whoever runs another command switches it off, as docker-compose.yml does.
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
