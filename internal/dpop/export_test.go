package dpop

var NormalizeURL = normalizeURL
