#!/bin/sh
# Starts a one-machine Slurm (Debian: slurmctld slurmd slurm-client munge), as root, for the Slurm test.
set -e
dir=${1:-/tmp/nsa-slurm}
host=$(hostname -s)
if [ -s /etc/slurm/slurm.conf ] && ! grep -q "^ClusterName=test$" /etc/slurm/slurm.conf; then
  echo "this machine has a Slurm of its own: /etc/slurm/slurm.conf is left alone" >&2
  exit 1
fi
mkdir -p "$dir/state" "$dir/spool" /etc/slurm /run/munge
chown munge /run/munge
cat > /etc/slurm/slurm.conf <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
SchedulerParameters=sched_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
pgrep -x munged >/dev/null || su munge -s /bin/sh -c /usr/sbin/munged
slurmctld
slurmd
sleep 3
sinfo
