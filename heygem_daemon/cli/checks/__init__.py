"""The parts of `heygem check`: every module yields findings, and prints nothing.

finding           a finding and its severity
identity          the user we check as, and commands with or without sudo
timed_call        functions called with a time limit, each in a process of its own: a dead share hangs for ever
directories       the directories of a configuration, and the role of each
filesystem_probe  test a directory by doing in it what the daemon does
rights            owner, group, mode, ACL: who can write
volumes           file system types, free space
folders           all checks of one directory
drops             drops in an inbox that cannot be moved
engine            models, checkpoints, device
machine           programs, journal, ledger lock, the configuration file
service           the systemd unit: is it there, does its sandbox let it write
"""
