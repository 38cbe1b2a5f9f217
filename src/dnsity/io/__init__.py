"""Input and output that every other package uses.

atomic      files that are written atomically
jsonl       JSON-lines files and append-only journals
text        UTF-8 text files, with errors that name the file
formats     files that are not text, recognized by content or name
workers     parallel work in several processes
units       numbers, bytes and seconds as text
provenance  commit, versions and hardware of a run
"""
