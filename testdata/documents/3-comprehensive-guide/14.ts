// TODO: Example of start & end
