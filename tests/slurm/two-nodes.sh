#!/usr/bin/env bash
# A Slurm of two nodes on this machine, of Debian's packages slurm-wlm and munge, without
# systemd; as root. What it writes lies in DIR, but for munge's own directories.
#   two-nodes.sh start DIR    prints nothing and ends when both nodes are idle
#   two-nodes.sh stop DIR     ends the daemons that it started
set -euo pipefail
what=${1:?start or stop}
mkdir -p "${2:?a directory}"
dir=$(cd "$2" && pwd)

stop() {
  local file
  for file in "$dir"/*.pid; do
    [[ -s $file ]] && kill "$(cat "$file")" 2>/dev/null || true
  done
}

start_munge() {
  # One that runs already serves us as well, and is nobody's to end.
  if munge --no-input >/dev/null 2>&1; then return; fi
  mkdir -p /run/munge /var/log/munge /var/lib/munge
  chown munge: /run/munge /var/log/munge /var/lib/munge /etc/munge
  if [[ ! -s /etc/munge/munge.key ]]; then
    (umask 077; head -c 1024 /dev/urandom >/etc/munge/munge.key)
    chown munge: /etc/munge/munge.key
  fi
  su -s /bin/sh munge -c '/usr/sbin/munged --pid-file=/run/munge/munged.pid'
  cp /run/munge/munged.pid "$dir/munged.pid"
}

write_conf() {
  mkdir -p "$dir/state" "$dir/log"
  local port=$1
  cat >"$dir/slurm.conf" <<CONF
ClusterName=two
SlurmctldHost=localhost
SlurmctldPort=$port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool-%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd-%n.pid
SlurmctldLogFile=$dir/log/slurmctld
SlurmdLogFile=$dir/log/slurmd-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port=$((port + 1)) CPUs=1
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=1
PartitionName=all Nodes=ALL Default=YES State=UP MaxTime=INFINITE
CONF
}

start() {
  start_munge
  write_conf $((20000 + RANDOM % 10000))
  export SLURM_CONF=$dir/slurm.conf
  slurmctld
  slurmd -N n1
  slurmd -N n2
  for _ in $(seq 120); do
    [[ $(sinfo -h -o '%T %D' 2>/dev/null) = 'idle 2' ]] && return
    sleep 0.25
  done
  cat "$dir"/log/* >&2
  return 1
}

case $what in
  start) start ;;
  stop) stop ;;
  *) echo "start or stop, not $what" >&2; exit 2 ;;
esac
