"""The chaos kit: seeded stories of events, faults and kills, told to the engine and judged by the promises."""
