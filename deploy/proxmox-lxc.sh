#!/bin/sh
# Makes an unprivileged Debian container with Fenliu on a Proxmox host:
#
#   sh proxmox-lxc.sh fenliu-0.1.0-linux-x64.tar.gz 153 192.168.88.2/24 192.168.88.1
#                     archive                       id  address         gateway
set -eu
archive=$1 id=$2 address=$3 gateway=$4
storage=${STORAGE:-local-lvm} bridge=${BRIDGE:-vmbr0}

(cd "$(dirname "$archive")" && sha256sum -c "$(basename "$archive").sha256")
pveam update >/dev/null
template=$(pveam available --section system | awk '$2 ~ /^debian-12-standard/ { print $2 }' | tail -n 1)
pveam list local | grep -q "$template" || pveam download local "$template"

# nesting: without it systemd in the container cannot close the service off from the rest.
pct create "$id" "local:vztmpl/$template" --hostname fenliu --unprivileged 1 --features nesting=1 --onboot 1 \
  --cores 2 --memory 768 --swap 0 --rootfs "$storage:8" --net0 "name=eth0,bridge=$bridge,ip=$address,gw=$gateway" --nameserver 223.5.5.5
pct start "$id"
until pct exec "$id" -- systemctl is-system-running --wait >/dev/null 2>&1 || [ $? -ne 2 ]; do sleep 1; done
pct push "$id" "$archive" /tmp/fenliu.tar.gz
pct exec "$id" -- sh -c '
  set -e
  mkdir -p /opt/fenliu
  tar -xzf /tmp/fenliu.tar.gz -C /opt/fenliu --strip-components=1
  rm /tmp/fenliu.tar.gz
  ln -sf /opt/fenliu/bin/fenliu /usr/local/bin/fenliu
  # Debian 12 has its own stub on 127.0.0.53 where systemd-resolved is installed.
  systemctl disable --now systemd-resolved 2>/dev/null || true
  fenliu service install
'
echo "Fenliu answers on ${address%/*}: dig @${address%/*} fenliu.lan"
