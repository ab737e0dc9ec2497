// TODO: Example of all options with prefix

