# Stands in for the images of PostgreSQL and nginx that compose.scale.yaml names, where no registry can be reached. The programs
# are those of Debian. Like the image of PostgreSQL, it makes the user POSTGRES_USER and a database of the same name.
FROM localhost/latchkey-files
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends docker-compose nginx wget \
 && rm -rf /var/lib/apt/lists/* \
 && mkdir /var/lib/postgresql/data
ENV PATH=/usr/lib/postgresql/17/bin:/usr/sbin:/usr/bin
USER postgres
ENTRYPOINT ["bash", "-euc", "\
  data=/var/lib/postgresql/data/cluster; \
  initdb -D $data -U $POSTGRES_USER --auth=scram-sha-256 --pwfile=<(echo $POSTGRES_PASSWORD) >/dev/null; \
  postgres --single -D $data postgres <<<\"create database $POSTGRES_USER\" >/dev/null; \
  echo 'host all all all scram-sha-256' >> $data/pg_hba.conf; \
  exec \"$@\" -D $data -c 'listen_addresses=*'", "start"]
