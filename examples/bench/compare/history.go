//go:build unix

package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// A history is where the two sides come from.
type history struct {
	root   string // of the working tree
	commit string // the previous one
	title  string
}

// noHistory says why there is no previous commit. That is no failure.
type noHistory struct{ why string }

func (e *noHistory) Error() string { return e.why }

// previous finds the first parent of HEAD.
func previous(ctx context.Context, folder string) (*history, error) {
	git := func(args ...string) (string, error) {
		text, err := output(command(ctx, folder, "git", args...))
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		return strings.TrimSpace(text), err
	}
	root, err := git("rev-parse", "--show-toplevel")
	switch {
	case ctx.Err() != nil:
		return nil, err
	case err != nil || root == "":
		return nil, &noHistory{fmt.Sprintf("no working tree of git (%v)", err)}
	}
	commit, err := git("rev-parse", "--verify", "--quiet", "HEAD~1^{commit}")
	switch {
	case ctx.Err() != nil:
		return nil, err
	case err != nil:
		if shallow, _ := git("rev-parse", "--is-shallow-repository"); shallow == "true" {
			return nil, &noHistory{"the clone is shallow and has no previous commit; fetch with a depth of 2 or more"}
		}
		return nil, &noHistory{"there is no commit before this one"}
	}
	title, err := git("log", "-1", "--format=%h (%s)", commit)
	return &history{root, commit, title}, err
}

// checkout writes the previous commit into a folder. Git keeps no record of that, as it would of a worktree, so
// there is nothing to clean up but the folder.
func (h *history) checkout(ctx context.Context, folder string) (err error) {
	c := command(ctx, h.root, "git", "archive", "--format=tar", h.commit)
	var complaint strings.Builder
	c.Stderr = &complaint
	stream, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	defer func() {
		_, _ = io.Copy(io.Discard, stream) // what follows the end of the archive, so that git can end
		if ended := c.Wait(); ended != nil {
			err = errors.Join(err, fmt.Errorf("git archive: %w: %s", ended, complaint.String()))
		}
	}()
	return extract(stream, folder)
}

func extract(stream io.Reader, folder string) error {
	root, err := os.OpenRoot(folder) // nothing is written outside of it
	if err != nil {
		return err
	}
	defer root.Close()
	archive := tar.NewReader(stream)
	for {
		h, err := archive.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		name := filepath.FromSlash(strings.TrimSuffix(h.Name, "/"))
		switch h.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(name, 0o700)
		case tar.TypeReg:
			err = write(root, name, archive)
		case tar.TypeSymlink:
			err = root.Symlink(h.Linkname, name)
		}
		if err != nil {
			return err
		}
	}
}

func write(root *os.Root, name string, content io.Reader) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}
