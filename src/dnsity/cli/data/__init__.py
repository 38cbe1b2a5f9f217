"""`dnsity data`: make and convert training and evaluation data, one module per command."""

from __future__ import annotations

import typer

from dnsity.cli.data import chunk, exams, longbench, niah, overlap, synthetic

app = typer.Typer(help="Make training and evaluation data.", no_args_is_help=True)
app.command("niah")(niah.command)
app.command("synthetic")(synthetic.command)
app.command("chunk")(chunk.command)
app.command("longbench")(longbench.command)
app.command("exams")(exams.command)
app.command("overlap")(overlap.command)
