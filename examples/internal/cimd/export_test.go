package cimd

var Parse = parse
