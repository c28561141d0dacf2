# Debian's PgBouncer. pgbouncer.ini and the list of users are mounted.
FROM debian:trixie-slim
# Debian keeps one version for each release, so only the release is pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends pgbouncer \
    && rm -rf /var/lib/apt/lists/*
USER 10002:10002
EXPOSE 6432
# SIGTERM would wait for clients that never disconnect; this signal waits for their transactions.
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s --timeout=3s --start-period=5s --retries=3 \
    CMD ["bash", "-c", ": </dev/tcp/127.0.0.1/6432"]
ENTRYPOINT ["pgbouncer"]
CMD ["/etc/pgbouncer/pgbouncer.ini"]
