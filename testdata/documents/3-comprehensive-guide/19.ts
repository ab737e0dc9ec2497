// TODO: Example
