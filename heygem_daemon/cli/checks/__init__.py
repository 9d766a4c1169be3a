"""What `heygem check` looks at; every module yields findings, and knows nothing of the terminal.

finding    a finding and how bad it is
identity   as whom we check, and commands with or without sudo
patience   questions to the disk, each in a process of its own: a dead share hangs for ever
places     the folders of a configuration, and what each is for
deeds      do in a folder what the daemon does in it
rights     owner, group, mode, ACL: who can write
volumes    file system types, free space
folders    all of that for one folder
drops      what lies in an inbox and cannot be moved
engine     models, checkpoints, device
machine    programs, journal, ledger lock, the configuration file
service    the unit: is it there, does its sandbox let it write
"""
