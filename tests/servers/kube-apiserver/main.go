// SPDX-License-Identifier: Apache-2.0

// The API server of Kubernetes as its authors wrote it, for the tests that need a real one.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	os.Exit(cli.Run(app.NewAPIServerCommand()))
}
