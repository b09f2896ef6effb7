package certs

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxCertFile bounds what is read of a certificate file.
const maxCertFile = 1 << 20

// ReadChain is the certificates of a file.
func ReadChain(file string) ([]*x509.Certificate, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCertFile))
	if err != nil {
		return nil, err
	}
	var chain []*x509.Certificate
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		chain = append(chain, cert)
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("%s: %w", file, ErrNoCertificate)
	}
	return chain, nil
}

// ErrNoCertificate says that a file has no certificate in it.
var ErrNoCertificate = errors.New("it holds no certificate in PEM form")

// ReadKey is the public key of a file, in its SubjectPublicKeyInfo form: that of a
// private key in PEM form, or of a public one. It keeps nothing of a private key.
func ReadKey(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCertFile))
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if pub := publicOf(block); pub != nil {
			return x509.MarshalPKIXPublicKey(pub)
		}
	}
	return nil, fmt.Errorf("%s holds neither a certificate nor a key in PEM form", file)
}

// publicOf is the public half of the key in a block; nil where there is none.
func publicOf(block *pem.Block) any {
	var key any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
		if err == nil {
			return key
		}
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	}
	if signer, ok := key.(crypto.Signer); ok && err == nil {
		return signer.Public()
	}
	return nil
}
