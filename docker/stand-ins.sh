#!/bin/sh
# Makes local stand-ins for the images that docker/Dockerfile and docker/compose.yaml name, under the same names, on a machine
# that cannot pull them: a minimal Debian 13 with the same program from Debian's packages, where the official image has it.
#
#   sudo docker/stand-ins.sh [all | python | rabbitmq | prometheus]...
#
# A stand-in has no digest. Where docker/Dockerfile and docker/compose.yaml name digests, set PYTHON_IMAGE, RABBITMQ_IMAGE and PROMETHEUS_IMAGE
# to the names below; `make image`, `make image-test` and docker compose take them from the environment.
#
# It needs root, Docker, debootstrap and a Debian mirror (MIRROR). For trying and testing only: an official image is smaller,
# newer, and the one to deploy. `docker image rm` of the same names makes room for the official ones.
set -eu

MIRROR=${MIRROR:-http://deb.debian.org/debian}
PYTHON=python:3.13-slim-trixie
RABBITMQ=rabbitmq:4-management
PROMETHEUS=prom/prometheus:v3.5.0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

# debian NAME PACKAGES: a root file system in $work/NAME, without what no container needs.
debian() {
  echo "debootstrap of $1: $2" >&2
  debootstrap --variant=minbase --include="$2" trixie "$work/$1" "$MIRROR" >"$work/log" 2>&1 || { tail -20 "$work/log" >&2; exit 1; }
  # So that builds inside it reach the outside as this machine does, also where TLS is inspected on the way.
  [ ! -f /etc/ssl/certs/ca-certificates.crt ] || cp /etc/ssl/certs/ca-certificates.crt "$work/$1/etc/ssl/certs/ca-certificates.crt"
  chroot "$work/$1" apt-get clean
  rm -rf "$work/$1"/var/lib/apt/lists/* "$work/$1"/var/log/*.log "$work/$1"/usr/share/doc/* "$work/$1"/usr/share/man/* "$work/$1"/usr/share/locale/*
}

# load NAME IMAGE CHANGES...: what is in $work/NAME becomes an image.
load() {
  name=$1 image=$2
  shift 2
  tar -C "$work/$name" --numeric-owner --one-file-system -c . | docker import --message "a stand-in made by docker/stand-ins.sh" "$@" - "$image" >&2
  rm -rf "${work:?}/$name"
}

python() {
  debian python ca-certificates,netbase,tzdata,python3,python3-venv
  root=$work/python
  # As in the official image: python and pip are in /usr/local/bin, and pip may be used and removed like any package there.
  ln -s /usr/bin/python3.13 "$root/usr/local/bin/python3.13"
  for link in python3 python; do ln -s python3.13 "$root/usr/local/bin/$link"; done
  rm -f "$root/usr/lib/python3.13/EXTERNALLY-MANAGED"
  chroot "$root" python3.13 -m venv /tmp/pip
  env -i PATH="$PATH" chroot "$root" /tmp/pip/bin/pip --isolated --python /usr/bin/python3.13 install --quiet --root-user-action ignore --no-index --find-links /usr/share/python-wheels pip
  rm -rf "$root"/tmp/* "$root/root/.cache"
  load python "$PYTHON" --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8' --change 'CMD ["python3"]'
}

rabbitmq() {
  debian rabbitmq ca-certificates,rabbitmq-server,python3
  root=$work/rabbitmq
  install -d "$root/etc/rabbitmq/conf.d"
  echo '[rabbitmq_management,rabbitmq_prometheus].' >"$root/etc/rabbitmq/enabled_plugins"
  printf 'loopback_users.guest = false\nlog.console = true\n' >"$root/etc/rabbitmq/conf.d/10-defaults.conf"
  rm -f "$root/etc/rabbitmq/rabbitmq.conf" "$root/etc/rabbitmq/rabbitmq-env.conf"
  cat >"$root/usr/local/bin/docker-entrypoint.sh" <<'ENTRYPOINT'
#!/bin/sh
set -e
if [ "$1" = rabbitmq-server ] && [ "$(id -u)" = 0 ]; then
  find /var/lib/rabbitmq \! -user rabbitmq -exec chown rabbitmq '{}' +
  exec setpriv --reuid rabbitmq --regid rabbitmq --clear-groups "$0" "$@"
fi
exec "$@"
ENTRYPOINT
  chmod 755 "$root/usr/local/bin/docker-entrypoint.sh"
  chroot "$root" chown -R rabbitmq:rabbitmq /var/lib/rabbitmq /etc/rabbitmq /var/log/rabbitmq
  # The commands in /usr/lib/rabbitmq/bin run as they are; the wrappers in /usr/sbin would change the user a second time.
  load rabbitmq "$RABBITMQ" --change 'ENV PATH=/usr/lib/rabbitmq/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/var/lib/rabbitmq LANG=C.UTF-8 RABBITMQ_LOGS=-' \
    --change 'VOLUME /var/lib/rabbitmq' --change 'EXPOSE 4369 5671 5672 15671 15672 15691 15692 25672' \
    --change 'ENTRYPOINT ["docker-entrypoint.sh"]' --change 'CMD ["rabbitmq-server"]'
}

prometheus() {
  debian prometheus ca-certificates,prometheus
  root=$work/prometheus
  install -d -o 65534 -g 65534 "$root/prometheus"
  load prometheus "$PROMETHEUS" --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' --change 'USER 65534:65534' --change 'WORKDIR /prometheus' --change 'EXPOSE 9090' \
    --change 'VOLUME /prometheus' --change 'ENTRYPOINT ["/bin/prometheus"]' --change 'CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]'
}

[ "$#" -gt 0 ] || set -- all
for wanted in "$@"; do
  case $wanted in
    all) python; rabbitmq; prometheus ;;
    python | rabbitmq | prometheus) "$wanted" ;;
    *) echo "there is no stand-in for '$wanted'; valid are all, python, rabbitmq, prometheus" >&2; exit 2 ;;
  esac
done
