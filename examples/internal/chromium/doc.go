// Package chromium starts a headless Chromium for tests and drives it as a person would, with the mouse and by what is to be
// read. It speaks the DevTools protocol over a pair of pipes, so it needs no other program and opens no port.
//
// The browser reaches this machine and nothing else. Tests that use it carry the build tag browser, since go test ./... is to
// need no browser.
package chromium
