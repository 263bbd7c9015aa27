"""What a person runs: every module with a `main(argv)` is a subcommand of `unimedvlp`."""
