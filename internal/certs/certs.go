// Package certs keeps the server's certificate: it reads the files that the
// configuration names, reads them again when they change (CRT-1), and makes a
// certificate authority for trying out (SET-1, quickstart -local).
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"waxwing/internal/sound"
)

// Files is a certificate in two PEM files. Its methods are safe for concurrent
// use. A change of the files is seen within CheckEvery; files that cannot be
// read then leave the certificate as it is and are logged.
type Files struct {
	Cert, Key  string
	CheckEvery time.Duration // 0: 1 min
	Now        func() time.Time
	Log        *slog.Logger
	Loaded     func(*x509.Certificate) // is told of the certificate each time the files are read; nil: nobody is

	mu      sync.Mutex
	current *tls.Certificate
	stamp   string
	checked time.Time
}

// Load reads the files. The error says which file is at fault.
func (f *Files) Load() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.load()
}

func (f *Files) load() error {
	stamp, err := stampOf(f.Cert, f.Key)
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", f.Cert, f.Key, err)
	}
	pair.SupportedSignatureAlgorithms = sound.Signatures() // never SHA-1, whatever a client offers
	f.current, f.stamp, f.checked = &pair, stamp, f.now()
	if f.Loaded != nil {
		f.Loaded(pair.Leaf)
	}
	return nil
}

// stampOf changes whenever one of the files does.
func stampOf(paths ...string) (string, error) {
	s := ""
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return "", fmt.Errorf("certificate file: %w", err)
		}
		s += fmt.Sprintf("%d %d ", info.ModTime().UnixNano(), info.Size())
	}
	return s, nil
}

// Get is for tls.Config.GetCertificate. Every name gets the one certificate (CRT-2).
func (f *Files) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current == nil {
		return nil, errors.New("no certificate has been loaded")
	}
	every := f.CheckEvery
	if every == 0 {
		every = time.Minute
	}
	if f.now().Sub(f.checked) >= every {
		f.checked = f.now()
		f.reload()
	}
	return f.current, nil
}

func (f *Files) reload() {
	stamp, err := stampOf(f.Cert, f.Key)
	if err == nil && stamp == f.stamp {
		return
	}
	if err == nil {
		err = f.load()
	}
	switch {
	case f.Log == nil:
	case err != nil:
		f.Log.Error("the certificate on disk cannot be used, the loaded one stays", "error", err)
	default:
		f.Log.Info("certificate reloaded", "file", f.Cert, "until", f.current.Leaf.NotAfter)
	}
}

func (f *Files) now() time.Time {
	if f.Now != nil {
		return f.Now()
	}
	return time.Now()
}

// Roots reads a PEM file of authorities, on top of the system's if system is set.
func Roots(path string, system bool) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if system {
		if p, err := x509.SystemCertPool(); err == nil {
			pool = p
		}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("authorities: %w", err)
	}
	defer file.Close()
	pem, err := io.ReadAll(io.LimitReader(file, 16<<20))
	if err != nil {
		return nil, fmt.Errorf("authorities: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("authorities: %s holds no certificate in PEM form", path)
	}
	return pool, nil
}
