//! A simulated week: a fleet of devices and mailboxes that work as people do, and attacks among them.
//!
//! Everything follows from a seed. Events come in the order of their time, tick by tick; what belongs
//! to an attack is marked, so that whoever feeds them knows what should have been found.
//!
//! Ordinary behaviour is a list of [`Habit`]s with natural rates per device or mailbox. Habits that no
//! rule sees may be thinned, those a rule sees never ([`Week::thin`]).

mod attacks;
mod device;
mod mail;
mod noise;

pub use attacks::{Attack, KINDS, attack};
pub use device::{Base, Pc, Proc, Role};
pub use mail::{Mail, Part};
pub use noise::{HABITS, Habit, Of, Scene};

use hinomi_model::{DeviceId, Event, Timestamp};

/// Monday 2026-11-16, 00:00 UTC (09:00 in Japan).
pub const BEGIN_US: i64 = 1_794_787_200_000_000;
/// Seconds of a day.
pub const DAY: i64 = 86_400;

/// Numbers that look random and follow from a seed (SplitMix64).
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// Begins a sequence.
    pub fn new(seed: u64) -> Rng {
        Rng(seed ^ 0x5851_f42d_4c95_7f2d)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `end` (at least 1).
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// A number from 0 to 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    /// How often something with this mean happens: the whole part surely, the rest by chance.
    fn times(&mut self, mean: f64) -> u64 {
        mean as u64 + u64::from(self.unit() < mean.fract())
    }
}

/// Mixes a number.
pub fn mix(number: u64) -> u64 {
    let mut z = number;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A hash that stands for the content of this name.
pub fn sha256_of(name: &str) -> String {
    let seed = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let [a, b, c, d] = [1, 2, 3, 4].map(|n| mix(seed.wrapping_add(n)));
    format!("{a:016x}{b:016x}{c:016x}{d:016x}")
}

/// An id from a kind and a number.
pub(crate) fn id(kind: u16, number: u64) -> String {
    format!("00000000-0000-7000-8{:03x}-{number:012x}", kind & 0xfff)
}

/// An event and the attack it belongs to.
pub type Told = (Option<usize>, Event);

/// What is simulated.
pub struct Week {
    /// The devices.
    pub devices: Vec<Pc>,
    /// The mailboxes.
    pub mailboxes: Vec<String>,
    /// The attacks, and the events of each.
    pub attacks: Vec<Attack>,
    rng: Rng,
    mails: u64,
    /// Devices of each role.
    roles: [Vec<usize>; Role::ALL.len()],
    /// Part of each habit that is told, by its place in [`HABITS`].
    rates: Vec<f64>,
    /// Attack events still to be told, the latest first.
    planned: Vec<(usize, Event)>,
}

impl Week {
    /// Makes a fleet with a quarter as many mailboxes, and `attacks` attacks of all kinds on it.
    pub fn new(devices: usize, attacks: usize, seed: u64) -> Week {
        let mut rng = Rng::new(seed);
        let devices: Vec<Pc> = (0..devices.max(40)).map(|number| Pc::new(number, &mut rng)).collect();
        let mailboxes: Vec<String> =
            devices.iter().filter(|pc| pc.role != Role::Server).step_by(4).map(|pc| pc.mailbox()).collect();
        let mut roles: [Vec<usize>; Role::ALL.len()] = Default::default();
        for (number, pc) in devices.iter().enumerate() {
            roles[pc.role as usize].push(number);
        }
        let attacks = attacks::plan(&devices, &roles, &mailboxes, attacks, &mut rng);
        let mut planned: Vec<(usize, Event)> = attacks
            .iter()
            .enumerate()
            .flat_map(|(n, one)| one.events.iter().map(move |event| (n, event.clone())))
            .collect();
        planned.sort_by_key(|(_, event)| std::cmp::Reverse(event.timestamp));
        let rates = vec![1.0; HABITS.len()];
        Week { devices, mailboxes, attacks, rng, mails: 0, roles, rates, planned }
    }

    /// How many of a habit's subjects there are: devices of its role, or mailboxes.
    pub fn subjects(&self, habit: &Habit) -> usize {
        match habit.of {
            Of::Devices(roles) => roles.iter().map(|role| self.roles[*role as usize].len()).sum(),
            Of::Mailboxes => self.mailboxes.len(),
            Of::House => 1,
        }
    }

    /// Tells only this part of a habit.
    pub fn thin(&mut self, habit: usize, rate: f64) {
        self.rates[habit] = rate.clamp(0.0, 1.0);
    }

    /// Plays a habit once, now and anywhere: what its events look like.
    pub fn sample(&mut self, habit: usize, at: Timestamp) -> Vec<Event> {
        let mut out = Vec::new();
        self.play(habit, at, &mut out);
        out
    }

    /// When every device was started: what runs on it all the time.
    pub fn boot(&mut self) -> Vec<Event> {
        let mut out = Vec::new();
        for pc in &mut self.devices {
            pc.boot(&mut out);
        }
        out
    }

    /// Everything that happens from `from` up to `to`, in order of time.
    pub fn tick(&mut self, from: Timestamp, to: Timestamp) -> Vec<Told> {
        let seconds = to.micros_since(from) as f64 / 1e6;
        let busy = busy(from);
        let mut out: Vec<Event> = Vec::new();
        for number in 0..HABITS.len() {
            let habit = &HABITS[number];
            let share = if habit.always { 1.0 } else { busy };
            let mean = habit.per_week * self.subjects(habit) as f64 * self.rates[number] * share * seconds
                / (7.0 * DAY as f64);
            for _ in 0..self.rng.times(mean) {
                let at = Timestamp::from_micros(from.as_micros() + self.rng.below((seconds * 1e6) as u64) as i64);
                self.play(number, at, &mut out);
            }
        }
        let mut told: Vec<Told> = out.into_iter().map(|event| (None, event)).collect();
        while self.planned.last().is_some_and(|(_, event)| event.timestamp < to) {
            told.extend(self.planned.pop().map(|(attack, event)| (Some(attack), event)));
        }
        told.sort_by_key(|(_, event)| event.timestamp);
        told
    }

    fn play(&mut self, number: usize, at: Timestamp, out: &mut Vec<Event>) {
        let habit = &HABITS[number];
        let subject = self.rng.below(self.subjects(habit).max(1) as u64) as usize;
        let device = match habit.of {
            Of::Devices(roles) => {
                let mut left = subject;
                let found = roles.iter().find_map(|role| {
                    let of = &self.roles[*role as usize];
                    let found = of.get(left).copied();
                    left = left.saturating_sub(of.len());
                    found
                });
                let Some(found) = found else { return };
                found
            }
            _ => 0,
        };
        let Week { devices, mailboxes, rng, mails, .. } = self;
        let mailbox = subject.min(mailboxes.len().saturating_sub(1));
        let mut scene = Scene { pc: &mut devices[device], mailboxes, mailbox, rng, mails, at, out };
        (habit.play)(&mut scene);
    }
}

/// How much people work at this time: 1 in the busy hours, so that a week has 45 of them.
fn busy(at: Timestamp) -> f64 {
    let seconds = (at.as_micros() - BEGIN_US) / 1_000_000;
    let (day, hour) = (seconds / DAY, seconds % DAY / 3600);
    // of 168 hours, 45 are working hours; they hold nine tenths of the week's work
    if day < 5 && hour < 9 { 168.0 * 0.9 / 45.0 } else { 168.0 * 0.1 / 123.0 }
}

/// The device with a number.
pub(crate) fn device_id(number: usize) -> DeviceId {
    id(1, number as u64 + 1).parse().expect("an id")
}
