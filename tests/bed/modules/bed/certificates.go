package main

// A certificate authority for one bed, and what it signs.

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

type authority struct {
	dir         string
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	serial      int64
}

func newAuthority(dir string) *authority {
	check(os.MkdirAll(dir, 0o700), "the certificates' folder")
	a := &authority{dir: dir, key: newKey()}
	template := a.template(pkix.Name{CommonName: "sluice-bed"})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage |= x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	check(err, "the authority")
	a.certificate, err = x509.ParseCertificate(der)
	check(err, "the authority")
	a.write("ca.crt", "CERTIFICATE", der)
	return a
}

// issue writes NAME.crt and NAME.key.
func (a *authority) issue(name string, subject pkix.Name, names []string, addresses []net.IP) {
	key, template := newKey(), a.template(subject)
	template.DNSNames, template.IPAddresses = names, addresses
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	check(err, name)
	a.write(name+".crt", "CERTIFICATE", der)
	a.writeKey(name+".key", key)
}

// keyPair writes NAME.key and NAME.pub: what service account tokens are signed with.
func (a *authority) keyPair(name string) {
	key := newKey()
	a.writeKey(name+".key", key)
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	check(err, name)
	a.write(name+".pub", "PUBLIC KEY", public)
}

func (a *authority) template(subject pkix.Name) *x509.Certificate {
	a.serial++
	return &x509.Certificate{
		SerialNumber: big.NewInt(a.serial),
		Subject:      subject,
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(1, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

func (a *authority) writeKey(name string, key *ecdsa.PrivateKey) {
	der, err := x509.MarshalECPrivateKey(key)
	check(err, name)
	a.write(name, "EC PRIVATE KEY", der)
}

func (a *authority) write(name, kind string, der []byte) {
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	check(os.WriteFile(filepath.Join(a.dir, name), text, 0o600), name)
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err, "a key")
	return key
}
