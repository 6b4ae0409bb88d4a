package caddymodule

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"

	"github.com/tokenvault/caddy-token-vault/linkflow"
)

// keySize is the size of a sealing key in bytes, for AES-256.
const keySize = 32

// decodeKey reads a sealing key of a configuration. The error does not repeat it.
func decodeKey(encoded string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) != keySize {
		return nil, fmt.Errorf("expected %d bytes in base64", keySize)
	}
	return key, nil
}

// storedKey returns the tenant's sealing key from Caddy's storage, making it if
// there is none. All nodes that share the storage come to share the key.
func storedKey(ctx context.Context, storage certmagic.Storage, tenant string) (_ []byte, err error) {
	name := "token_vault/" + certmagic.StorageKeys.Safe(tenant) + "/link.key"
	if key, err := loadKey(ctx, storage, name); !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := storage.Lock(ctx, name); err != nil {
		return nil, fmt.Errorf("locking the link key in storage: %w", err)
	}
	defer func() { err = errors.Join(err, storage.Unlock(context.WithoutCancel(ctx), name)) }()

	// Another node may have made it while we waited for the lock.
	if key, err := loadKey(ctx, storage, name); !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails
	if err := storage.Store(ctx, name, key); err != nil {
		return nil, fmt.Errorf("keeping the link key in storage: %w", err)
	}
	return key, nil
}

func loadKey(ctx context.Context, storage certmagic.Storage, name string) ([]byte, error) {
	key, err := storage.Load(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("loading the link key from storage: %w", err)
	}
	if len(key) != keySize {
		return nil, fmt.Errorf("the link key in storage has %d bytes instead of %d", len(key), keySize)
	}
	return key, nil
}

// storageTimeout bounds reading or making the sealing key in Caddy's storage.
const storageTimeout = 10 * time.Second

// keys returns where the sealing keys of a tenant come from.
func (l *Link) keys(ctx caddy.Context, tenant string) (func(context.Context) ([][]byte, error), error) {
	if len(l.Key) == 0 {
		storage := ctx.Storage()
		return func(ctx context.Context) ([][]byte, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storageTimeout)
			defer cancel()
			key, err := storedKey(ctx, storage, tenant)
			return [][]byte{key}, err
		}, nil
	}
	var keys [][]byte
	for i, encoded := range l.Key {
		key, err := decodeKey(encoded)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		keys = append(keys, key)
	}
	return linkflow.StaticKeys(keys...), nil
}
