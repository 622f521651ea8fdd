// Verifies a DSSE envelope with the reference implementation in Go, and prints its payload.
//
//	go run . ENVELOPE PUBLIC-KEY
package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

type key struct{ public crypto.PublicKey }

func (k key) Public() crypto.PublicKey { return k.public }

func (k key) KeyID() (string, error) {
	der, err := x509.MarshalPKIXPublicKey(k.public)
	return fmt.Sprintf("%x", sha256.Sum256(der)), err
}

func (k key) Verify(_ context.Context, data, signature []byte) error {
	valid := false
	switch public := k.public.(type) {
	case ed25519.PublicKey:
		valid = ed25519.Verify(public, data, signature)
	case *ecdsa.PublicKey:
		digest := sha256.Sum256(data)
		hashed := digest[:]
		if public.Curve.Params().BitSize == 384 {
			longer := sha512.Sum384(data)
			hashed = longer[:]
		}
		valid = ecdsa.VerifyASN1(public, hashed, signature)
	}
	if !valid {
		return errors.New("the signature is not valid")
	}
	return nil
}

func verified(envelope, public string) ([]byte, error) {
	text, err := os.ReadFile(public)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the key is not PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(envelope)
	if err != nil {
		return nil, err
	}
	var signed dsse.Envelope
	if err := json.Unmarshal(data, &signed); err != nil {
		return nil, err
	}
	verifier, err := dsse.NewEnvelopeVerifier(key{parsed})
	if err != nil {
		return nil, err
	}
	if _, err := verifier.Verify(context.Background(), &signed); err != nil {
		return nil, err
	}
	return signed.DecodeB64Payload()
}

func main() {
	payload, err := verified(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Stdout.Write(payload)
}
