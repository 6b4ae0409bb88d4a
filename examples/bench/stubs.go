package main
import "context"
func measureHandler(ctx context.Context, s *stage) error { return nil }
func measureStampede(ctx context.Context, s *stage) error { return nil }
func measureExpiries(ctx context.Context, s *stage) error { return nil }
func measureCrowd(ctx context.Context, s *stage) error { return nil }
func measureCap(ctx context.Context, s *stage) error { return nil }
func measureUnknownKeys(ctx context.Context, s *stage) error { return nil }
func measureOutage(ctx context.Context, s *stage) error { return nil }
func measureSlowTenant(ctx context.Context, s *stage) error { return nil }
func measureRefused(ctx context.Context, s *stage) error { return nil }
func measureReload(ctx context.Context, s *stage) error { return nil }
func measureStreaming(ctx context.Context, s *stage) error { return nil }
