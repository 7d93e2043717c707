// Package deploy holds no code but its tests: what to run ledgerd with. Start with
// ledgerd.service, for systemd, or Containerfile, for Docker and Podman; both read
// ledgerd.conf.
package deploy
