package main
import "context"
func measureOutage(ctx context.Context, s *stage) error { return nil }
func measureSlowTenant(ctx context.Context, s *stage) error { return nil }
func measureRefused(ctx context.Context, s *stage) error { return nil }
func measureReload(ctx context.Context, s *stage) error { return nil }
func measureStreaming(ctx context.Context, s *stage) error { return nil }
