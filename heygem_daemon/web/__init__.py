"""The page and the HTTP interface (`heygem web`): one more client of the folders.

It writes drops and control files into the inboxes and reads the status files in outputs, as people on the share do. It opens no ledger
and talks to no daemon, so it can be stopped, upgraded or absent without the daemon noticing.
"""
