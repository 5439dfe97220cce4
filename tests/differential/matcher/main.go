// Command matcher asks cyclonus, another reading of the NetworkPolicy specification, for its verdicts.
//
// It reads one JSON document from stdin, a list of worlds, and writes one list of verdicts per world to
// stdout. What the API server does to a policy before anybody evaluates it (the default of policyTypes and
// of the namespace) is done here, because cyclonus expects policies as the API server returns them.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// end is a pod, or with no namespace an address outside of the cluster.
type end struct {
	Namespace       string            `json:"namespace"`
	Labels          map[string]string `json:"labels"`
	NamespaceLabels map[string]string `json:"namespaceLabels"`
	Addresses       map[string]string `json:"addresses"`
}

// cell is one connection; portName is what the destination calls the port, empty if nothing.
type cell struct {
	From     string `json:"from"`
	To       string `json:"to"`
	Family   string `json:"family"`
	Protocol string `json:"protocol"`
	Port     int    `json:"port"`
	PortName string `json:"portName"`
}

type world struct {
	Policies []*networkingv1.NetworkPolicy `json:"policies"`
	Ends     map[string]end                `json:"ends"`
	Cells    []cell                        `json:"cells"`
}

type verdict struct {
	Egress  bool `json:"egress"`
	Ingress bool `json:"ingress"`
	Allowed bool `json:"allowed"`
}

func main() {
	var worlds []world
	input := json.NewDecoder(os.Stdin)
	input.DisallowUnknownFields()
	if err := input.Decode(&worlds); err != nil {
		fmt.Fprintf(os.Stderr, "matcher: cannot read the worlds: %s\n", err)
		os.Exit(2)
	}
	answers := make([][]verdict, len(worlds))
	for number, one := range worlds {
		answers[number] = decide(one)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		fmt.Fprintf(os.Stderr, "matcher: cannot write the verdicts: %s\n", err)
		os.Exit(2)
	}
}

func decide(one world) []verdict {
	for _, policy := range one.Policies {
		setDefaults(policy)
	}
	policies := matcher.BuildNetworkPolicies(false, one.Policies)
	verdicts := make([]verdict, len(one.Cells))
	for number, asked := range one.Cells {
		found := policies.IsTrafficAllowed(&matcher.Traffic{
			Source:           peer(one.Ends, asked.From, asked.Family),
			Destination:      peer(one.Ends, asked.To, asked.Family),
			ResolvedPort:     asked.Port,
			ResolvedPortName: asked.PortName,
			Protocol:         corev1.Protocol(asked.Protocol),
		})
		verdicts[number] = verdict{found.Egress.IsAllowed(), found.Ingress.IsAllowed(), found.IsAllowed()}
	}
	return verdicts
}

// setDefaults does what the API server does when policyTypes is absent: always ingress, and egress if the
// policy has rules for it.
func setDefaults(policy *networkingv1.NetworkPolicy) {
	if len(policy.Spec.PolicyTypes) > 0 {
		return
	}
	policy.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
	if len(policy.Spec.Egress) > 0 {
		policy.Spec.PolicyTypes = append(policy.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
	}
}

func peer(ends map[string]end, name string, family string) *matcher.TrafficPeer {
	known, found := ends[name]
	address := known.Addresses[family]
	if !found || address == "" {
		fmt.Fprintf(os.Stderr, "matcher: no end %q with an address of %q\n", name, family)
		os.Exit(2)
	}
	if known.Namespace == "" {
		return &matcher.TrafficPeer{IP: address}
	}
	return &matcher.TrafficPeer{
		IP: address,
		Internal: &matcher.InternalPeer{
			PodLabels:       known.Labels,
			NamespaceLabels: known.NamespaceLabels,
			Namespace:       known.Namespace,
		},
	}
}
