// Package hostkeys keeps the private keys that the host's certificates are for: made
// beforehand, so that the TLSA records of the current and of the next key can be
// published before there is any certificate (CRT-1, CRT-6, RFC 7671 §8.1). Each key
// is a PEM file of its own with mode 0600, which nothing overwrites. How far each is
// on its way from made to gone stands in the store; keystage decides about it.
package hostkeys

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Algorithm is the kind of a key: its word in file names, lists and metrics.
type Algorithm string

// The algorithms. A host has keys of both: nearly everybody takes the first one,
// and what is too old for it takes the second.
const (
	ECDSA Algorithm = "ecdsa" // on P-256
	RSA   Algorithm = "rsa"   // of 2048 bits
)

// Algorithms are all of them, in the order of lists.
func Algorithms() []Algorithm { return []Algorithm{ECDSA, RSA} }

// rsaBits is the size of RSA keys: what the authorities take, and what old peers can do.
const rsaBits = 2048

// Key is a key of the host.
type Key struct {
	ID        string // "ecdsa-1": the algorithm and a number that counts up
	Algorithm Algorithm
	Number    int
	File      string
	Made      time.Time // of the file
	Signer    crypto.Signer
	SPKI      []byte // SHA-256 of the public key, as TLSA records have it
}

// TLSA is the data of the key's record, "3 1 1 " and the digest (RFC 6698 §2.1).
func (k Key) TLSA() string { return "3 1 1 " + hex.EncodeToString(k.SPKI) }

// Digest is the SHA-256 of a public key in its SubjectPublicKeyInfo form.
func Digest(pub crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	return sum[:], nil
}

// Make sees to it that there are two keys of each algorithm, one to begin with and
// one that comes next, and returns all. What is there already stays as it is.
func Make(dir string) ([]Key, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the directory for host keys: %w", err)
	}
	all, err := Read(dir)
	if err != nil {
		return nil, err
	}
	for _, a := range Algorithms() {
		have := 0
		for _, k := range all {
			if k.Algorithm == a {
				have++
			}
		}
		for ; have < 2; have++ {
			k, err := Add(dir, a, all)
			if err != nil {
				return nil, err
			}
			all = append(all, k)
		}
	}
	slices.SortFunc(all, order)
	return all, nil
}

// Add makes one more key, with the number after those of the algorithm in all.
func Add(dir string, a Algorithm, all []Key) (Key, error) {
	n := 0
	for _, k := range all {
		if k.Algorithm == a {
			n = max(n, k.Number)
		}
	}
	signer, err := generate(a)
	if err != nil {
		return Key{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return Key{}, err
	}
	file := filepath.Join(dir, fileName(a, n+1))
	if err := create(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})); err != nil {
		return Key{}, fmt.Errorf("a new host key: %w", err)
	}
	return readKey(file, a, n+1)
}

func generate(a Algorithm) (crypto.Signer, error) {
	if a == RSA {
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

func fileName(a Algorithm, n int) string { return fmt.Sprintf("%s-%d.key", a, n) }

// create writes a file that must not be there. It has its name once it is whole and
// on the disk: a key that was published must never be lost to a crash.
func create(path string, data []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil { // as os.Rename, but it overwrites nothing
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// keyFile is the name of a key's file. Others in the directory are left alone.
var keyFile = regexp.MustCompile(`^(ecdsa|rsa)-([1-9][0-9]{0,5})\.key$`)

// Read reads all keys, by algorithm and number. A directory that is not there has
// none. The error says which file is at fault: a key that cannot be read may be one
// that others rely on, so it is never passed over.
func Read(dir string) ([]Key, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the directory of host keys: %w", err)
	}
	var all []Key
	for _, e := range entries {
		m := keyFile.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		n, err := strconv.Atoi(m[2])
		if err != nil {
			return nil, err
		}
		k, err := readKey(filepath.Join(dir, e.Name()), Algorithm(m[1]), n)
		if err != nil {
			return nil, err
		}
		all = append(all, k)
	}
	slices.SortFunc(all, order)
	return all, nil
}

func order(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Algorithm, b.Algorithm), cmp.Compare(a.Number, b.Number))
}

// maxFile bounds what is read of a key's file.
const maxFile = 64 << 10

func readKey(file string, a Algorithm, n int) (Key, error) {
	f, err := os.Open(file)
	if err != nil {
		return Key{}, fmt.Errorf("host key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Key{}, fmt.Errorf("host key: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return Key{}, fmt.Errorf("host key: %w", err)
	}
	signer, err := parse(text, a)
	if err != nil {
		return Key{}, fmt.Errorf("host key %s: %w; restore it from a backup, or move it away if its TLSA record was never published", file, err)
	}
	spki, err := Digest(signer.Public())
	if err != nil {
		return Key{}, fmt.Errorf("host key %s: %w", file, err)
	}
	return Key{ID: fmt.Sprintf("%s-%d", a, n), Algorithm: a, Number: n, File: file, Made: info.ModTime(), Signer: signer, SPKI: spki}, nil
}

// parse reads a key in any of the PEM forms in use.
func parse(text []byte, a Algorithm) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it holds no key in PEM form")
	}
	var key any
	var err error
	switch block.Type {
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, errors.New("its key cannot be read") // the error of x509 may quote what it read
	}
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		if a == ECDSA {
			return k, nil
		}
	case *rsa.PrivateKey:
		if a == RSA {
			return k, nil
		}
	}
	return nil, fmt.Errorf("its key is not of the kind that its name says (%s)", a)
}
