package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"io"
	"os"

	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
)

// maxFile bounds a file with a token or a key.
const maxFile = 64 << 10

// A credential says where a token is. Nothing here says what it is: that must not stand on a command line.
type credential struct{ file, env string }

func (cr *credential) flags(fs *flag.FlagSet) {
	fs.StringVar(&cr.file, "token-file", "", "a `file` that holds the access token; - is standard input")
	fs.StringVar(&cr.env, "token-env", "", "the `name` of an environment variable that holds the access token")
}

// read returns the token without white space around it, or nothing if none was named. Errors name the source and nothing of its content.
func (cr *credential) read(c command) (string, error) {
	switch {
	case cr.file != "" && cr.env != "":
		return "", errors.New("-token-file and -token-env are two tokens; give one")
	case cr.env != "":
		token := c.getenv(cr.env)
		if token == "" {
			return "", errors.New("the variable of -token-env is not set; it takes the name of a variable, not the token")
		}
		return trim([]byte(token))
	case cr.file == "-":
		return readToken(c.in)
	case cr.file != "":
		f, err := os.Open(cr.file)
		if err != nil {
			return "", errors.New("the file of -token-file cannot be opened; it takes the name of a file, not the token")
		}
		defer f.Close()
		return readToken(f)
	}
	return "", nil
}

func readToken(r io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	switch {
	case err != nil:
		return "", errors.New("the token cannot be read")
	case len(text) > maxFile:
		return "", errors.New("that is too long for a token")
	}
	return trim(text)
}

func trim(text []byte) (string, error) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return "", errors.New("the token is empty")
	}
	return string(text), nil
}

// readKey reads a private key in PEM: PKCS #8, SEC 1 or PKCS #1.
func readKey(name string) (*mcpauthtest.DPoPKey, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, errors.New("the file of -dpop-key cannot be opened")
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	block, _ := pem.Decode(text)
	if err != nil || block == nil {
		return nil, errors.New("the file of -dpop-key has no key in PEM")
	}
	for _, parse := range []func([]byte) (any, error){
		x509.ParsePKCS8PrivateKey,
		func(der []byte) (any, error) { return x509.ParseECPrivateKey(der) },
		func(der []byte) (any, error) { return x509.ParsePKCS1PrivateKey(der) },
	} {
		if key, err := parse(block.Bytes); err == nil {
			if signer, ok := key.(crypto.Signer); ok {
				if dpop, err := mcpauthtest.NewDPoPKeyFrom("", signer); err == nil {
					return dpop, nil
				}
			}
		}
	}
	return nil, errors.New("the key of -dpop-key cannot sign proofs; give an unencrypted EC, RSA or Ed25519 private key")
}
